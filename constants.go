package events

// The names that the map-based dispatcher came with. They are untyped
// constants: a name is a string, and any other string is as good.
const (
	EventUserCreated       = "user.created"
	EventUserUpdated       = "user.updated"
	EventUserDeleted       = "user.deleted"
	EventUserLoggedIn      = "user.logged_in"
	EventUserLoggedOut     = "user.logged_out"
	EventUserPasswordReset = "user.password_reset"

	EventModuleInstalled   = "module.installed"
	EventModuleUninstalled = "module.uninstalled"
	EventModuleActivated   = "module.activated"
	EventModuleDeactivated = "module.deactivated"
	EventModuleUpdated     = "module.updated"

	EventSystemStarted  = "system.started"
	EventSystemShutdown = "system.shutdown"
)
