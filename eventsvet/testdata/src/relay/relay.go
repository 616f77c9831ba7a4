package relay // want package:`topics: user.created account.User, user.deleted account.Deletion, user.renamed account.Renaming`

import "account"

type Welcome struct{ User account.User }
