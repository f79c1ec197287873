//go:build linux

package main

// To try the client: it prints a line a second while this member is active.

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	worker := flag.String("worker", "", "http://HOST:PORT of the worker")
	name := flag.String("name", "", "of this holder, for people")
	finish := flag.Float64("finish", 0, "seconds that it takes to finish its work")
	trouble := flag.String("trouble", "", "report that it is not healthy, for this reason")
	flag.Parse()
	say := func(text string) { fmt.Println(text) }
	holder := NewHolder(*worker, *name, say)
	holder.Report(*trouble)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		holder.Close()
	}()
	for hold := holder.Await(); hold != nil; hold = holder.Await() {
		for hold.MayAct() {
			say(fmt.Sprintf("acting at=%.3f term=%d", Boot().Seconds(), hold.Term()))
			select {
			case <-hold.Stop():
			case <-time.After(time.Second):
			}
		}
		say("stop: " + hold.Why())
		end := Boot() + time.Duration(*finish*float64(time.Second))
		for Boot() < end && hold.Left() > Grace/2 {
			say(fmt.Sprintf("finishing at=%.3f", Boot().Seconds()))
			time.Sleep(200 * time.Millisecond)
		}
		say(fmt.Sprintf("stopped at=%.3f", Boot().Seconds()))
		hold.Stopped()
	}
	holder.Join()
}
