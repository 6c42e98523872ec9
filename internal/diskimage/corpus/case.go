package corpus

import "sync"

// Case is a file with what is declared of it and the verdict that is right.
type Case struct {
	Name  string // unique; a path-like name such as "qcow2/bad/backing-file"
	Image *Image

	// Declared in the record. Container "" stands for bare.
	Disk, Container, KeyID string

	// Code of the rejection that is right, "" when the image is good.
	Code string

	// Of a good image.
	VirtualSize int64  // 0: not asserted
	Firmware    string // hw_firmware_type
	Arch        string // architecture
	OS          string // os_type, os_distro and os_version with spaces between, "" when unknown
	Boots       bool

	// Qemu is the format by which qemu-img opens the file with the same virtual size, "" when qemu is not to be asked.
	Qemu string
}

// Facts of the guests in guest.go.
type facts struct {
	arch, firmware, os string
	boots              bool
}

func (c Case) with(f facts) Case {
	c.Arch, c.Firmware, c.OS, c.Boots = f.arch, f.firmware, f.os, f.boots
	return c
}

// Synthetic returns all cases that are made in memory. They are made once; a test that changes an image clones it.
func Synthetic() []Case { return synthetic() }

var synthetic = sync.OnceValue(func() []Case {
	var all []Case
	for _, part := range [][]Case{rawCases(), qcow2Cases(), vmdkCases(), vhdCases(), vhdxCases(), vdiCases(), ploopCases(), isoCases(), luksCases(), machineCases(), archiveCases(), polyglotCases(), foreignCases()} {
		all = append(all, part...)
	}
	for i := range all {
		if all[i].Container == "" {
			all[i].Container = "bare"
		}
	}
	return all
})

// bad makes a case of a changed copy of a good image.
func bad(format, name, code string, good *Image, change func(m *Image)) Case {
	m := good.Clone()
	change(m)
	return Case{Name: format + "/bad/" + name, Image: m, Disk: format, Code: code}
}
