#!/bin/sh
# Called by acpid when the power button is pressed: how Nova asks a server to stop.
echo "skerry-tiny: power button pressed, stopping" >/dev/console
exec /usr/bin/poweroff
