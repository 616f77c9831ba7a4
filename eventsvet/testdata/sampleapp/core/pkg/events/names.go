package events

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
