// Package harness is the part of AWS that runs functions, on one machine: the Lambda Runtime API, which starts built bootstraps as Lambda does, and a
// regional REST API in front, both set up from template.yaml itself. With it the very files that would be deployed do the whole job over HTTP against a real
// S3 engine, a DynamoDB engine and an emulation of Cognito and Parameter Store.
//
// What is as on AWS: one process for each request under way, reused when idle, frozen for nobody; the environment of the template; payload format 1.0;
// routes by the template's paths; asynchronous events tried as often as the template says; its schedules. What is not: roles. A test of the template compares
// those with the code.
//
// The command awslocal is all of this as a service to try, for people and for tests; its comment says how to start it and what it writes.
//
//	template.go    reads template.yaml; schedule.go its schedules
//	engines.go     tables, user pool and users
//	deployment.go  starts everything and carries events
//	runtime.go     the Lambda Runtime API
//	gateway.go     the REST API
package harness
