package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bullion/internal/identity/keystone/keystonetest"
)

// leastOverKeystone is how many times as fast as Keystone the service must be, beside it on the same machine. It is the one
// figure that is asserted: it is some hundreds, so that no noise makes it fail.
const leastOverKeystone = 10

// people sign in for the first time, each once, which costs a password hash each.
const people = 12

// keystone compares sign-in and what each call with a token costs with a real Keystone, one client at a time: with one client, it does not matter how many
// processes of Keystone there are.
func keystone(dir string, duration time.Duration) error {
	url, stop, err := keystonetest.Run(context.Background(), dir)
	if err != nil {
		return err
	}
	defer stop()
	b, err := start(filepath.Join(dir, "identity"))
	if err != nil {
		return err
	}
	defer b.stop()
	if err := b.manage("", "project", "add", "people"); err != nil {
		return err
	}
	for i := range people {
		if err := b.manage(personPassword+"\n", "user", "add", fmt.Sprintf("person%d", i), "--project", "people"); err != nil {
			return err
		}
	}

	fmt.Println("\nidentity, 1 client                            Bullion per s   Keystone per s        ×")
	first := 0
	hashed, err := rate(time.Hour, func() error {
		if first++; first > people {
			return errDone
		}
		_, err := call(b.client, "POST", b.base+"/v3/auth/tokens", "", signInBody(fmt.Sprintf("person%d", first-1), personPassword, "people"))
		return err
	})
	if err != nil {
		return err
	}
	own, err := b.signInBody()
	if err != nil {
		return err
	}
	theirs := signInBody("admin", keystonetest.Password, "admin")
	token, err := call(b.client, "POST", url+"/v3/auth/tokens", "", theirs)
	if err != nil {
		return err
	}
	theirRate, err := rate(duration, func() error { _, err := call(b.client, "POST", url+"/v3/auth/tokens", "", theirs); return err })
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %14.0f %16.1f %8.1f\n", "sign in with a password, the first time", hashed, theirRate, hashed/theirRate)
	known, err := rate(duration, func() error { _, err := call(b.client, "POST", b.base+"/v3/auth/tokens", "", own); return err })
	if err != nil {
		return err
	}
	if err := beside("sign in again, within 5 minutes", known, theirRate); err != nil {
		return err
	}
	for _, c := range []struct{ name, path string }{
		{"validate a token (GET /v3/auth/tokens)", "/v3/auth/tokens"},
		{"a call with a token (GET /v3/auth/projects)", "/v3/auth/projects"},
	} {
		var rates [2]float64
		for i, side := range []struct{ base, token string }{{b.base, b.token}, {url, token}} {
			if rates[i], err = rate(duration, func() error { _, err := call(b.client, "GET", side.base+c.path, side.token, ""); return err }); err != nil {
				return err
			}
		}
		if err := beside(c.name, rates[0], rates[1]); err != nil {
			return err
		}
	}
	fmt.Printf("%-44s %14.1f ms\n", "password hash (argon2id, 12 MiB, 3 passes)", 1000/hashed)
	return nil
}

func beside(name string, ours, theirs float64) error {
	fmt.Printf("%-44s %14.0f %16.1f %8.0f\n", name, ours, theirs, ours/theirs)
	if ours < leastOverKeystone*theirs {
		return fmt.Errorf("%s: %.0f a second is less than %d times Keystone's %.1f", name, ours, leastOverKeystone, theirs)
	}
	return nil
}

const personPassword = "correct horse battery"

func (b *bulliond) manage(stdin string, args ...string) error {
	cmd := exec.Command("../../bin/bulliond", append([]string{"--data", b.data}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bulliond %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// rate is how often per second op runs, one after the other, until the time is over or it returns errDone.
func rate(duration time.Duration, op func() error) (float64, error) {
	n, begin := 0, time.Now()
	for ; time.Since(begin) < duration; n++ {
		if err := op(); err == errDone {
			break
		} else if err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// call makes one request of either side, where a token is looked at by its own holder, and returns the token that came, if one did.
func call(client *http.Client, method, url, token, body string) (string, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
		req.Header.Set("X-Subject-Token", token)
	}
	r, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s %s", method, url, r.Status, answer)
	}
	return r.Header.Get("X-Subject-Token"), err
}
