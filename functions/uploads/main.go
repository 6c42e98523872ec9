// Command uploads answers API Gateway for bytes: it signs uploads and downloads, and completes multipart uploads. Its role alone may do that.
package main

import "bullion/internal/cloud/gateway"

func main() { gateway.Main() }
