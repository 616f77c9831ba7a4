module github.com/typedbus/events

go 1.26.0

// What a library requires moves the programs that use it, so these are the
// lowest versions with which the library and its tests work. (testify 1.7.1
// would do, too, but requires a yaml.v3 that can be made to panic.)
require (
	github.com/stretchr/testify v1.7.2
	golang.org/x/sync v0.1.0
)

require (
	github.com/davecgh/go-spew v1.1.0 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
