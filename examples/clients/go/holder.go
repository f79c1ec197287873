//go:build linux

package main

// A client for holds, to copy into an application that may act only while its member is active.
//
//	holder := NewHolder("http://127.0.0.1:8079", "billing", func(text string) { log.Print(text) })
//	for hold := holder.Await(); hold != nil; hold = holder.Await() { // nil after holder.Close()
//		for hold.MayAct() {
//			writeSomething(hold.Term()) // has to take less than Grace
//		}
//		hold.Stopped() // the hold is released: nothing may act any more by now
//	}
//
// docs/holds.md explains holds, and what this file does not do. It needs Linux, Go 1.21 and nothing else.
// To try it, in this folder: go run . --worker http://127.0.0.1:8079 --name billing

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
	"unsafe"
)

const (
	// For is how long a hold is asked for. docs/holds.md says how to choose it.
	For = 10 * time.Second
	// Grace is what the application needs to stop. Without an answer, it begins that long before its hold ends.
	Grace = time.Second
	// pause is between an answer and the next request. Most requests wait for news at the worker.
	pause = 200 * time.Millisecond
)

// Boot is the time since the machine was started. This clock goes on while the machine sleeps, unlike that of
// the package time, which therefore only says when to look again.
func Boot() time.Duration {
	const boottime = 7 // CLOCK_BOOTTIME
	var now syscall.Timespec
	_, _, failure := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, boottime, uintptr(unsafe.Pointer(&now)), 0)
	if failure != 0 {
		panic(failure)
	}
	return time.Duration(now.Nano())
}

// backoff is how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	longest := min(800*time.Millisecond, 100*time.Millisecond<<min(failures, 10))
	return time.Duration(float64(longest) * (0.5 + mathrand.Float64()/2))
}

// Hold is one hold, from the first request to its release. Any goroutine may use it.
type Hold struct {
	mutex    sync.Mutex
	instance string
	until    time.Duration // when the hold ends; 0 if it has never been granted
	term     int64
	why      string
	begun    bool // the application has it
	stop     chan struct{}
	over     context.Context // done when nothing acts under it, now or later
	end      context.CancelFunc
}

func newHold() *Hold {
	instance := make([]byte, 8)
	if _, failure := rand.Read(instance); failure != nil {
		panic(failure)
	}
	hold := &Hold{instance: hex.EncodeToString(instance), stop: make(chan struct{})}
	hold.over, hold.end = context.WithCancel(context.Background())
	return hold
}

// MayAct says whether something may begin that takes less than Grace. When this becomes false, it stays false.
func (hold *Hold) MayAct() bool {
	acting, _ := hold.look()
	return acting
}

// Left is the time until the hold ends. By then, what is finished after the stop has to be over as well.
func (hold *Hold) Left() time.Duration {
	_, until := hold.look()
	return until - Boot()
}

// Stop is closed when the application has to stop.
func (hold *Hold) Stop() <-chan struct{} { return hold.stop }

// Why says why the application has to stop; "" if it does not have to.
func (hold *Hold) Why() string {
	hold.mutex.Lock()
	defer hold.mutex.Unlock()
	return hold.why
}

// Term is the fencing token. Send it along with whatever you write.
func (hold *Hold) Term() int64 {
	hold.mutex.Lock()
	defer hold.mutex.Unlock()
	return hold.term
}

// Stopped says that nothing acts under this hold any more: release it.
func (hold *Hold) Stopped() {
	hold.halt("done")
	hold.end()
}

func (hold *Hold) halt(why string) {
	hold.mutex.Lock()
	defer hold.mutex.Unlock()
	hold.haltLocked(why)
}

func (hold *Hold) haltLocked(why string) {
	if hold.why == "" {
		hold.why = why
		close(hold.stop)
	}
	if !hold.begun {
		hold.end()
	}
}

// look returns whether the application may act, and when the hold ends; 0 if it has never been granted.
func (hold *Hold) look() (bool, time.Duration) {
	hold.mutex.Lock()
	defer hold.mutex.Unlock()
	if hold.until > 0 && hold.until-Boot() <= Grace {
		hold.haltLocked("no answer in time")
	}
	return hold.until > 0 && hold.why == "", hold.until
}

// begin gives the hold to the application, unless it has to stop by now.
func (hold *Hold) begin() bool {
	hold.mutex.Lock()
	defer hold.mutex.Unlock()
	hold.begun = hold.why == ""
	return hold.begun
}

// granted: the member is active. It returns whether it was not before.
func (hold *Hold) granted(until time.Duration, term int64) bool {
	hold.mutex.Lock()
	defer hold.mutex.Unlock()
	first := hold.until == 0
	hold.until, hold.term = max(hold.until, until), term
	return first
}

// refused: the member is not active. `until` is when the hold ends, if the worker knows one; else 0.
func (hold *Hold) refused(until time.Duration, role string) {
	hold.mutex.Lock()
	defer hold.mutex.Unlock()
	hold.until = max(hold.until, until)
	if hold.until > 0 {
		hold.haltLocked(role)
	}
}

// Holder asks a worker for one hold after another, in a goroutine of its own.
type Holder struct {
	path    string
	say     func(string)
	client  http.Client
	holds   chan *Hold
	closing context.Context
	close   context.CancelFunc
	done    chan struct{}
	word    string
	trouble atomic.Value
}

// NewHolder starts asking. `worker`: http://HOST:PORT. `name`: of this application, for people. `say` gets lines
// for a log.
func NewHolder(worker, name string, say func(string)) *Holder {
	holder := &Holder{
		path: strings.TrimRight(worker, "/") + "/tcf/holds/" + url.PathEscape(name),
		say:  say,
		client: http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true}, // it uses no proxy
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		holds: make(chan *Hold),
		done:  make(chan struct{}),
	}
	holder.closing, holder.close = context.WithCancel(context.Background())
	go holder.run()
	return holder
}

// Await waits until the application may act. It returns nil after Close.
func (holder *Holder) Await() *Hold {
	for {
		select {
		case <-holder.closing.Done():
			return nil
		case hold := <-holder.holds:
			if hold.begin() {
				return hold
			}
		}
	}
}

// Report has the next requests say what is wrong with the application, for people; "" if it is healthy.
func (holder *Holder) Report(trouble string) {
	shown := []rune(strings.Map(func(character rune) rune {
		if unicode.IsPrint(character) {
			return character
		}
		return ' '
	}, trouble))
	holder.trouble.Store(string(shown[:min(len(shown), 200)]))
}

// Close has the application stop, and asks for no other hold. It does not wait: Join does.
func (holder *Holder) Close() { holder.close() }

// Join waits until the last hold is released.
func (holder *Holder) Join() { <-holder.done }

func (holder *Holder) run() {
	defer close(holder.done)
	for holder.closing.Err() == nil {
		hold := newHold() // a new instance: one that was released is never used again
		closed := context.AfterFunc(holder.closing, func() { hold.halt("closing") })
		holder.keep(hold)
		closed()
		holder.release(hold)
	}
}

// keep asks for the hold, and for more of it, until it is over.
func (holder *Holder) keep(hold *Hold) {
	failures := 0
	patient := false
	for hold.over.Err() == nil {
		word, failure := holder.ask(hold, patient)
		next := pause
		if failure == nil {
			failures = 0
		} else {
			failures++
			word, next = fmt.Sprintf("no answer: %v", failure), backoff(failures)
		}
		patient = failure == nil
		if hold.over.Err() == nil && word != holder.word {
			holder.word = word
			holder.say("worker: " + word)
		}
		select {
		case <-hold.over.Done():
		case <-time.After(next):
		}
	}
}

// ask sends one PUT, and returns the role. `patient`: the worker may wait for news before it answers.
func (holder *Holder) ask(hold *Hold, patient bool) (string, error) {
	acting, end := hold.look()
	asked := Boot()
	left := end - asked
	if acting {
		left -= Grace
	}
	query := url.Values{"id": {hold.instance}, "for": {seconds(For)}}
	if trouble, _ := holder.trouble.Load().(string); trouble != "" {
		query.Set("healthy", "false")
		query.Set("message", trouble)
	}
	wait, limit := time.Duration(0), 5*time.Second
	if end > 0 && !acting {
		query.Set("draining", "true")
	} else if patient && acting {
		wait = min(For/5, left/2).Truncate(time.Second)
	} else if patient {
		wait = For / 5
	}
	if end > 0 { // This request may take half of what is left, so that there is time for another one.
		limit = max(300*time.Millisecond, (left-wait)/2)
	}
	query.Set("wait", seconds(wait))
	answer, text, failure := holder.send(hold.over, http.MethodPut, query, wait+limit)
	if failure != nil {
		return "", failure
	}
	until := time.Duration(0)
	if held, failure := strconv.ParseFloat(answer.Header.Get("X-TCF-Held-For"), 64); failure == nil && held > 0 {
		until = asked + time.Duration(min(held, For.Seconds())*float64(time.Second))
	}
	term, failure := strconv.ParseInt(answer.Header.Get("X-TCF-Term"), 10, 64)
	switch {
	case answer.StatusCode == http.StatusOK && until > 0 && failure == nil:
		if hold.granted(until, term) {
			go holder.attend(hold)
		}
	case answer.StatusCode == http.StatusTeapot:
		hold.refused(until, text)
	default:
		return "", fmt.Errorf("%d %s", answer.StatusCode, text)
	}
	return text, nil
}

// attend offers the hold to the application, and watches its clock.
func (holder *Holder) attend(hold *Hold) {
	offers := holder.holds
	clock := time.NewTicker(50 * time.Millisecond)
	defer clock.Stop()
	for hold.MayAct() {
		select {
		case offers <- hold:
			offers = nil
		case <-clock.C:
		case <-hold.stop:
		}
	}
}

// release tells the worker, until it knows or the hold has run out; for 3 s at most after Close.
func (holder *Holder) release(hold *Hold) {
	began := Boot()
	for failures := 1; Boot() < began+3*time.Second || (hold.Left() > 0 && holder.closing.Err() == nil); failures++ {
		query := url.Values{"id": {hold.instance}}
		answer, _, failure := holder.send(context.Background(), http.MethodDelete, query, 2*time.Second)
		if failure == nil && answer.StatusCode == http.StatusNoContent {
			holder.say("released")
			return
		}
		time.Sleep(backoff(failures))
	}
	holder.say("the release got no answer: the hold runs out by itself")
}

// send returns the answer and its text. It has to come within `limit`.
func (holder *Holder) send(
	needed context.Context, method string, query url.Values, limit time.Duration,
) (*http.Response, string, error) {
	needed, cancel := context.WithTimeout(needed, limit)
	defer cancel()
	request, failure := http.NewRequestWithContext(needed, method, holder.path+"?"+query.Encode(), http.NoBody)
	if failure != nil {
		return nil, "", failure
	}
	answer, failure := holder.client.Do(request)
	if failure != nil {
		return nil, "", errors.Unwrap(failure) // Do wraps every error in one that repeats the URL
	}
	defer answer.Body.Close()
	text, failure := io.ReadAll(io.LimitReader(answer.Body, 300))
	return answer, string(text), failure
}

func seconds(duration time.Duration) string { return fmt.Sprintf("%.0fs", duration.Seconds()) }
