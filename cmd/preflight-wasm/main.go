//go:build js && wasm

// Command preflight-wasm is package diskimage for the browser: a wrong or hostile file is refused before a byte of it is sent, and
// disk_format fills itself in.
//
// It defines one function on globalThis and stays alive to serve it:
//
//	bullionPreflight({size, read, diskFormat, containerFormat}) → Promise<report>
//
// size is the length of the file in bytes, read(offset, length) gives a Promise of a Uint8Array of exactly those bytes (for a File: its slice), and the
// formats are those declared, or "" to find out. The promise resolves to the fields of the JSON of diskimage.Report (disk_format, container_format,
// virtual_size, architecture, hw_firmware_type, os_type, os_distro, os_version, bootable, evidence, warnings) and what it cost (requests,
// bytes), or to {rejection: {code, message, hint}}. It rejects with an Error when read fails or an argument is missing.
//
// Build: GOOS=js GOARCH=wasm go build -trimpath -ldflags='-s -w' -o preflight.wasm ./cmd/preflight-wasm
// and load it with lib/wasm/wasm_exec.js of the same Go version.
package main

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"

	"bullion/internal/diskimage"
)

func main() {
	js.Global().Set("bullionPreflight", js.FuncOf(func(_ js.Value, args []js.Value) any {
		return promise(func() (any, error) {
			if len(args) != 1 || args[0].Type() != js.TypeObject {
				return nil, errors.New("bullionPreflight takes one object: {size, read, diskFormat, containerFormat}")
			}
			return preflight(args[0])
		})
	}))
	select {}
}

// preflight inspects the file that the argument describes.
func preflight(arg js.Value) (any, error) {
	size, read := arg.Get("size"), arg.Get("read")
	if size.Type() != js.TypeNumber || read.Type() != js.TypeFunction {
		return nil, errors.New("bullionPreflight needs a number as size and a function as read")
	}
	n := int64(size.Float())
	cache := diskimage.NewCache(reader{read}, n, diskimage.Budget{})
	report, err := diskimage.Inspect(context.Background(), cache, n, diskimage.Options{
		DiskFormat:      text(arg.Get("diskFormat")),
		ContainerFormat: text(arg.Get("containerFormat")),
	})
	var rejection *diskimage.Rejection
	switch {
	case errors.As(err, &rejection):
		return map[string]any{"rejection": map[string]any{"code": rejection.Code, "message": rejection.Message, "hint": rejection.Hint}}, nil
	case err != nil:
		return nil, err
	}
	cost := cache.Stats()
	return map[string]any{
		"disk_format":      report.DiskFormat,
		"container_format": report.ContainerFormat,
		"virtual_size":     float64(report.VirtualSize), // exact up to 8 PiB, far above the largest disk accepted
		"architecture":     report.Architecture,
		"hw_firmware_type": report.FirmwareType,
		"os_type":          report.OSType,
		"os_distro":        report.OSDistro,
		"os_version":       report.OSVersion,
		"bootable":         report.Bootable,
		"evidence":         list(report.Evidence),
		"warnings":         warnings(report.Warnings),
		"requests":         cost.Requests,
		"bytes":            float64(cost.Bytes),
	}, nil
}

// text is a string, "" for undefined and null.
func text(v js.Value) string {
	if v.Type() != js.TypeString {
		return ""
	}
	return v.String()
}

func warnings(all []diskimage.Warning) []any {
	out := make([]any, len(all))
	for i, w := range all {
		out[i] = map[string]any{"code": w.Code, "message": w.Message, "hint": w.Hint}
	}
	return out
}

func list(s []string) []any {
	out := make([]any, len(s))
	for i, v := range s {
		out[i] = v
	}
	return out
}

// promise runs work outside the event loop, which it may wait for, and returns a Promise of its result.
func promise(work func() (any, error)) js.Value {
	var executor js.Func
	executor = js.FuncOf(func(_ js.Value, args []js.Value) any {
		resolve, reject := args[0], args[1]
		go func() {
			defer executor.Release()
			result, err := work()
			if err != nil {
				reject.Invoke(js.Global().Get("Error").New(err.Error()))
				return
			}
			resolve.Invoke(js.ValueOf(result))
		}()
		return nil
	})
	return js.Global().Get("Promise").New(executor)
}

// reader reads through the function read of the caller.
type reader struct{ read js.Value }

// ReadAt implements [io.ReaderAt]: it waits for the Promise that read gives.
func (r reader) ReadAt(p []byte, off int64) (int, error) {
	type answer struct {
		bytes js.Value
		err   error
	}
	done := make(chan answer, 1)
	then := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- answer{bytes: args[0]}
		return nil
	})
	defer then.Release()
	fail := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- answer{err: fmt.Errorf("the file cannot be read: %s", args[0].Call("toString").String())}
		return nil
	})
	defer fail.Release()
	js.Global().Get("Promise").Call("resolve", r.read.Invoke(float64(off), len(p))).Call("then", then, fail)
	a := <-done
	if a.err != nil {
		return 0, a.err
	}
	if !a.bytes.InstanceOf(js.Global().Get("Uint8Array")) {
		return 0, errors.New("read must give a Promise of a Uint8Array")
	}
	n := js.CopyBytesToGo(p, a.bytes)
	if n < len(p) {
		return n, fmt.Errorf("read gave %d bytes at %d, not the %d asked for: the file has changed", n, off, len(p))
	}
	return n, nil
}
