package s3engine

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// hangUp ends the reading side of every connection that clients have to port, again and again until done is closed.
// versitygw waits 10 s for connections that are open but have not sent a request yet, of which browsers and
// connection pools always have some, and gives no access to them (G8). Answers that are being sent are
// sent to their end; bodies that are being received end early, and are refused as such.
func hangUp(port int, done <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return
		}
		for _, e := range fds {
			if fd, err := strconv.Atoi(e.Name()); err == nil {
				hangUpOn(fd, port)
			}
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

func hangUpOn(fd, port int) {
	// A copy, so that it stays the same connection even if somebody closes fd and opens something else.
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	local, err := unix.Getsockname(fd)
	if err != nil {
		return
	}
	if _, err := unix.Getpeername(fd); err != nil {
		return // the listener
	}
	switch a := local.(type) {
	case *unix.SockaddrInet4:
		if a.Port != port {
			return
		}
	case *unix.SockaddrInet6:
		if a.Port != port {
			return
		}
	default:
		return
	}
	_ = unix.Shutdown(fd, unix.SHUT_RD)
}
