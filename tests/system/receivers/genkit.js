// SPDX-License-Identifier: MIT
//
// Genkit's telemetry server as a program: genkit.js <node_modules> <port> <folder for what it stores>.
'use strict';

const [modules, port, folder] = process.argv.slice(2);
const server = require(require.resolve('@genkit-ai/telemetry-server', { paths: [modules] }));
const places = { storeRoot: folder, indexRoot: folder };

server.startTelemetryServer({
  port: Number(port),
  traceStore: new server.LocalFileTraceStore(places),
  logStore: new server.LocalFileLogStore(places),
});
