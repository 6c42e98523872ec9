package diskimage

import "strings"

// unixFS is a file system of inodes, read only as far as a path needs.
type unixFS interface {
	root() uint64
	inode(n uint64) (*inode, error)
	// find returns the inode of a name in a directory, 0 when it is not there.
	find(dir *inode, name string) (uint64, error)
	// contents returns the bytes of a file or the target of a symbolic link, at most limit of them.
	contents(i *inode, limit int) ([]byte, error)
}

// inode is what both file systems say about a file.
type inode struct {
	mode uint16
	size int64
	raw  []byte // as on disk
}

func (i *inode) isDir() bool     { return i.mode&0xf000 == 0x4000 }
func (i *inode) isFile() bool    { return i.mode&0xf000 == 0x8000 }
func (i *inode) isSymlink() bool { return i.mode&0xf000 == 0xa000 }

const (
	maxSymlinks   = 8
	maxComponents = 64
	maxDirectory  = 1 << 20 // bytes of a directory that are searched
)

// readPath returns at most limit bytes of the regular file at path, nil when there is none. Symbolic links are followed inside the file system.
func readPath(fs unixFS, path string, limit int) ([]byte, error) {
	stack := []uint64{fs.root()}
	todo := strings.Split(path, "/")
	links := 0
	for steps := 0; len(todo) > 0; steps++ {
		if steps > maxComponents {
			return nil, nil
		}
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			stack = stack[:max(len(stack)-1, 1)]
			continue
		}
		dir, err := fs.inode(stack[len(stack)-1])
		if err != nil || !dir.isDir() {
			return nil, err
		}
		n, err := fs.find(dir, name)
		if err != nil || n == 0 {
			return nil, err
		}
		i, err := fs.inode(n)
		if err != nil {
			return nil, err
		}
		if !i.isSymlink() {
			stack = append(stack, n)
			continue
		}
		if links++; links > maxSymlinks {
			return nil, nil
		}
		target, err := fs.contents(i, 4096)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(target), "/") {
			stack = stack[:1]
		}
		todo = append(strings.Split(string(target), "/"), todo...)
		if len(todo) > maxComponents {
			return nil, nil
		}
	}
	i, err := fs.inode(stack[len(stack)-1])
	if err != nil || !i.isFile() {
		return nil, err
	}
	return fs.contents(i, limit)
}
