// SPDX-License-Identifier: MIT
//
// Zipkin's own Go library as a strict reader of Zipkin v2 JSON.
//
// A batch is read into zipkin-go's model and written again by it. What it does not know is lost on
// the way, and what it can't read (an id that is not hex, a port beyond 16 bits, an address that is none, a
// tag that is no string, a time with a fraction) is an error, as in the servers that use it.
//
// Protocol: stdin carries "<decimal byte count>\n<that many bytes>" for each batch; one line of JSON
// comes back for each: {"spans":[…]}, as zipkin-go wrote them, or {"error":"what"}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/openzipkin/zipkin-go/model"
)

type answer struct {
	Spans []model.SpanModel `json:"spans,omitempty"`
	Error string            `json:"error,omitempty"`
}

func read(body []byte) answer {
	var spans []model.SpanModel
	if err := json.Unmarshal(body, &spans); err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Spans: spans}
}

func main() {
	in := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for {
		var bytes int
		if _, err := fmt.Fscanf(in, "%d\n", &bytes); err != nil {
			return
		}
		body := make([]byte, bytes)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if err := out.Encode(read(body)); err != nil {
			// What was read can't be written: a time before 1970, for one.
			fmt.Fprintf(os.Stdout, "{\"error\":%q}\n", err.Error())
		}
	}
}
