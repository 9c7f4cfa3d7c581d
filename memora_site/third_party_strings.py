"""Messages of libraries that have no Arabic translation of their own.

``makemessages`` reads this file; no code imports it. The libraries look up the same
English texts and get the translations of this project.
"""

from django.utils.translation import gettext_noop, ngettext_lazy, npgettext_lazy

# django-admin-sortable2
gettext_noop("Move to first position")
gettext_noop("Move to last position")

# Django itself, where its Arabic is missing, outdated or has one gender only
gettext_noop("Add another %(verbose_name)s")
gettext_noop("Add %s")
gettext_noop("0 of %(cnt)s selected")
gettext_noop("The {name} “{obj}” was added successfully.")
gettext_noop(
    "The {name} “{obj}” was added successfully. You may add another {name} below."
)
gettext_noop("The {name} “{obj}” was added successfully. You may edit it again below.")
gettext_noop("The {name} “{obj}” was changed successfully.")
gettext_noop(
    "The {name} “{obj}” was changed successfully. You may add another {name} below."
)
gettext_noop(
    "The {name} “{obj}” was changed successfully. You may edit it again below."
)
gettext_noop("The %(name)s “%(obj)s” was deleted successfully.")
gettext_noop("Enter a valid %(protocol)s address.")
gettext_noop("Constraint “%(name)s” is violated.")
gettext_noop("%(model)s instance with %(field)s %(value)r is not a valid choice.")
gettext_noop("Conflicting form data submitted. Please try again.")
gettext_noop("Password-based authentication was disabled.")
gettext_noop("Password-based authentication")
gettext_noop(
    "Whether the user will be able to authenticate using a password or not. If "
    "disabled, they may still be able to authenticate using other backends, such as "
    "Single Sign-On or LDAP."
)
gettext_noop("Set password: %s")
gettext_noop("Reset password")
gettext_noop("Set password")
gettext_noop("Enabled")
gettext_noop("Disabled")
gettext_noop(
    "Raw passwords are not stored, so there is no way to see the user’s password."
)
gettext_noop(
    "Enable password-based authentication for this user by setting a password."
)
ngettext_lazy(
    "This password is too short. It must contain at least %d character.",
    "This password is too short. It must contain at least %d characters.",
)
ngettext_lazy(
    "Please submit at most %(num)d form.", "Please submit at most %(num)d forms.", "num"
)
ngettext_lazy(
    "Please submit at least %(num)d form.",
    "Please submit at least %(num)d forms.",
    "num",
)

# django.contrib.humanize: its Arabic has no plurals here ("since an hour from now")
gettext_noop("%(delta)s ago")
gettext_noop("%(delta)s from now")
ngettext_lazy("a second ago", "%(count)s seconds ago", "count")
ngettext_lazy("a minute ago", "%(count)s minutes ago", "count")
ngettext_lazy("an hour ago", "%(count)s hours ago", "count")
ngettext_lazy("a second from now", "%(count)s seconds from now", "count")
ngettext_lazy("a minute from now", "%(count)s minutes from now", "count")
ngettext_lazy("an hour from now", "%(count)s hours from now", "count")
npgettext_lazy("naturaltime-past", "%(num)d year", "%(num)d years", "num")
npgettext_lazy("naturaltime-past", "%(num)d month", "%(num)d months", "num")
npgettext_lazy("naturaltime-past", "%(num)d week", "%(num)d weeks", "num")
npgettext_lazy("naturaltime-past", "%(num)d day", "%(num)d days", "num")
npgettext_lazy("naturaltime-past", "%(num)d hour", "%(num)d hours", "num")
npgettext_lazy("naturaltime-past", "%(num)d minute", "%(num)d minutes", "num")
npgettext_lazy("naturaltime-future", "%(num)d year", "%(num)d years", "num")
npgettext_lazy("naturaltime-future", "%(num)d month", "%(num)d months", "num")
npgettext_lazy("naturaltime-future", "%(num)d week", "%(num)d weeks", "num")
npgettext_lazy("naturaltime-future", "%(num)d day", "%(num)d days", "num")
npgettext_lazy("naturaltime-future", "%(num)d hour", "%(num)d hours", "num")
npgettext_lazy("naturaltime-future", "%(num)d minute", "%(num)d minutes", "num")

# django-solo
gettext_noop("{obj} was changed successfully.")
gettext_noop("You may edit it again below.")
