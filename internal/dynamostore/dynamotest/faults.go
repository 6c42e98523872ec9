package dynamotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Action is what happens to one request.
type Action int

// The actions.
const (
	Forward        Action = iota // nothing
	Throttle                     // 400 ProvisionedThroughputExceededException
	Throttling                   // 400 ThrottlingException
	InternalError                // 500 before the engine sees it
	LoseAnswer                   // 500 after the engine has carried it out
	Disconnect                   // the connection ends before the engine sees it
	DisconnectLate               // the connection ends after the engine has carried it out
	Conflict                     // another transaction is at the same item; only for writes
	Partial                      // a batch is carried out by half
	Deny                         // 400 AccessDeniedException
	Hang                         // no answer until the client gives up
)

// Faults stands in front of an engine and does to requests what Choose says.
type Faults struct {
	Endpoint string // of the engine
	// Choose gets the operation, as PutItem, and how many of its requests came before. Nil forwards all.
	Choose func(operation string, before int) Action

	mu   sync.Mutex
	seen map[string]int
}

// Serve starts f on loopback for the time of the test and returns its URL.
func (f *Faults) Serve(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

// Requests is how many requests of the operation came.
func (f *Faults) Requests(operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[operation]
}

func (f *Faults) choose(operation string) Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[string]int{}
	}
	before := f.seen[operation]
	f.seen[operation]++
	if f.Choose == nil {
		return Forward
	}
	return f.Choose(operation, before)
}

func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch f.choose(operation) {
	case Throttle:
		refuse(w, http.StatusBadRequest, "ProvisionedThroughputExceededException", nil)
	case Throttling:
		refuse(w, http.StatusBadRequest, "ThrottlingException", nil)
	case InternalError:
		refuse(w, http.StatusInternalServerError, "InternalServerError", nil)
	case Deny:
		refuse(w, http.StatusBadRequest, "AccessDeniedException", nil)
	case LoseAnswer:
		f.forward(httptest.NewRecorder(), r, body)
		refuse(w, http.StatusInternalServerError, "InternalServerError", nil)
	case Disconnect:
		panic(http.ErrAbortHandler)
	case DisconnectLate:
		f.forward(httptest.NewRecorder(), r, body)
		panic(http.ErrAbortHandler)
	case Hang:
		<-r.Context().Done()
	case Conflict:
		f.conflict(w, r, operation, body)
	case Partial:
		f.half(w, r, operation, body)
	default:
		f.forward(w, r, body)
	}
}

// forward lets the engine answer.
func (f *Faults) forward(w http.ResponseWriter, r *http.Request, body []byte) {
	// What reached the engine is carried out even if the client goes away.
	request, err := http.NewRequest(r.Method, f.Endpoint+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	request.Header = r.Header.Clone()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
}

// refuse answers with an error in DynamoDB's form.
func refuse(w http.ResponseWriter, status int, code string, more map[string]any) {
	answer := map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": "injected by a test"}
	for k, v := range more {
		answer[k] = v
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}

func (f *Faults) conflict(w http.ResponseWriter, r *http.Request, operation string, body []byte) {
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem":
		refuse(w, http.StatusBadRequest, "TransactionConflictException", nil)
	case "TransactWriteItems":
		var in struct{ TransactItems []json.RawMessage }
		if err := json.Unmarshal(body, &in); err != nil {
			panic(http.ErrAbortHandler)
		}
		reasons := make([]map[string]string, len(in.TransactItems))
		for n := range reasons {
			reasons[n] = map[string]string{"Code": "None"}
		}
		reasons[len(reasons)-1] = map[string]string{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
		refuse(w, http.StatusBadRequest, "TransactionCanceledException", map[string]any{"CancellationReasons": reasons})
	default:
		f.forward(w, r, body)
	}
}

// half carries out the first half of a batch and gives the rest back as unprocessed.
func (f *Faults) half(w http.ResponseWriter, r *http.Request, operation string, body []byte) {
	list := map[string]string{"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}[operation]
	if list == "" {
		f.forward(w, r, body)
		return
	}
	var in, out map[string]any
	if err := json.Unmarshal(body, &in); err != nil {
		panic(http.ErrAbortHandler)
	}
	rest := map[string]any{}
	for table, what := range in["RequestItems"].(map[string]any) {
		items, get := what.([]any), map[string]any(nil)
		if operation == "BatchGetItem" {
			get = what.(map[string]any)
			items = get["Keys"].([]any)
		}
		kept, left := items[:(len(items)+1)/2], items[(len(items)+1)/2:]
		if get == nil {
			in["RequestItems"].(map[string]any)[table] = kept
			rest[table] = left
		} else {
			get["Keys"] = kept
			rest[table] = map[string]any{"Keys": left, "ConsistentRead": get["ConsistentRead"]}
		}
		if len(left) == 0 {
			delete(rest, table)
		}
	}
	first, err := json.Marshal(in)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	recorder := httptest.NewRecorder()
	f.forward(recorder, r, first)
	if err := json.Unmarshal(recorder.Body.Bytes(), &out); err != nil {
		panic(fmt.Sprintf("an answer that is not JSON: %v", err))
	}
	out[list] = rest
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(recorder.Code)
	json.NewEncoder(w).Encode(out)
}
