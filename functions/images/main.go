// Command images answers API Gateway for records: images, members, tags. Its role has no right to read or write bytes.
package main

import "bullion/internal/cloud/gateway"

func main() { gateway.Main() }
