# SPDX-License-Identifier: MIT
"""Certificates of a test's own, made by the openssl program in a folder that goes with the tests.

    with Certificates() as made:
        made.server.context()        # for who answers, on localhost and 127.0.0.1
        made.authority               # the path of whom to trust

Good ones are signed by `authority`. The bad ones are each wrong in one way only.
"""

import pathlib
import shutil
import ssl
import subprocess
import tempfile

CONFIGURATION = """\
[ca]
default_ca = test
[test]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""

HERE = "DNS:localhost,IP:127.0.0.1"
BEFORE, AFTER = ("20200101000000Z", "20200201000000Z"), ("20990101000000Z", "20990201000000Z")


class Certificate:
    """The paths of a certificate and its key."""

    def __init__(self, folder, name):
        self.path = folder / (name + ".pem")
        self.key = folder / (name + ".key")

    def context(self, authority=None):
        """For who answers; with an authority, whoever calls must have a certificate of it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        if authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority)
        return context


class Certificates:
    def __enter__(self):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="tracez-certificates-"))
        (self._folder / "configuration").write_text(CONFIGURATION.format(folder=self._folder))
        (self._folder / "index").touch()
        (self._folder / "serial").write_text("01\n")
        self.authority = self._sign_itself("authority").path
        self.other_authority = self._sign_itself("other").path
        self.server = self._signed("server")
        self.client = self._signed("client", names="DNS:client")
        self.self_signed = self._sign_itself("itself")
        self.expired = self._signed("expired", when=BEFORE)
        self.not_yet_valid = self._signed("early", when=AFTER)
        self.other_host = self._signed("elsewhere", names="DNS:elsewhere.example")
        self.line_breaking = self._signed("evil", names=None)
        self.of_another_authority = self._signed("stranger", by="other")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self._folder)

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode == 0, done.stdout

    def _request(self, made, names, *more):
        subject = ("-subj", "/CN=tracez test", "-addext", "subjectAltName=" + names) if names else (
            "-subj", "/CN=evil\nname")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject,
                      "-keyout", made.key, *more)

    def _sign_itself(self, name):
        made = Certificate(self._folder, name)
        self._request(made, HERE, "-x509", "-days", "2", "-out", made.path)
        return made

    def _signed(self, name, names=HERE, when=None, by="authority"):
        made = Certificate(self._folder, name)
        request = self._folder / (name + ".request")
        authority = Certificate(self._folder, by)
        self._request(made, names, "-out", request)
        times = ("-days", "2") if when is None else ("-startdate", when[0], "-enddate", when[1])
        self._openssl("ca", "-batch", "-notext", "-config", self._folder / "configuration",
                      "-cert", authority.path, "-keyfile", authority.key, "-in", request,
                      "-out", made.path, *times)
        return made
