#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# notify.sh EVENT TEXT: called by cig-server when something needs a person's attention, and by the
# service manager when a service of the gateway has failed for good. This one writes to the system
# log. Put what your site needs below: a mail, an SNMP trap, a message to whoever is on call.
#
# EVENT                 what has happened
# keys-ending           the last keys end in 14, 7, 3 or 1 days, or have ended (CIG_DAYS is 0)
# service-failed        systemd has given up cig-relay or cig-server
#
# More is in the environment: CIG_EVENT, CIG_TEXT and, for keys-ending, CIG_DAYS, CIG_PERIOD
# (2026-11-1) and CIG_ENDS (2026-12-01T00:00:00Z). It is killed after 30 seconds.
set -eu

event=${1:?usage: notify.sh EVENT TEXT}
text=${2:-}

if command -v logger >/dev/null 2>&1; then
    logger -t cig -p daemon.warning -- "$event: $text"
fi

# printf 'Subject: CIG: %s\n\n%s\n' "$event" "$text" | /usr/sbin/sendmail root
