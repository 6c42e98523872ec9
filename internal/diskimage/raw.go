package diskimage

// openRaw checks what can be checked of bytes without a header: the partition table, when there is one.
func openRaw(f span, g *signs) (*volume, error) {
	v := &volume{format: "raw", size: f.size, disk: &f, signs: g}
	t, err := readPartitions(f, g)
	if err != nil {
		return nil, err
	}
	v.warnings = append(v.warnings, t.warnings...)
	if t.scheme == "" && g.fs == "" && g.kernel == "" {
		v.warnings = append(v.warnings, Warning{CodeUnknown, "The file has no partition table and no file system that is known here.", ""})
	}
	if g.kernel != "" {
		v.warnings = append(v.warnings, Warning{CodeNotADisk, "The file is an " + g.kernel + ", not a disk.", ""})
	}
	return v, nil
}
