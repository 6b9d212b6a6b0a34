#!/bin/sh
# JupyterLab on the kernels of the Segue at JUPYTER_GATEWAY_URL:   start-jupyterlab OPTIONS...
#
# It shows SEGUE_PROJECTS, and runs as whom that directory belongs to, so that notebooks which are
# saved here stay theirs. SEGUE_TOKEN_FILE has Segue's token, which is JupyterLab's own as well:
# whoever may run kernels may open it, and nobody else.
set -eu

: "${JUPYTER_GATEWAY_URL:?}" "${SEGUE_PROJECTS:?}" "${SEGUE_TOKEN_FILE:?}"
until [ -s "$SEGUE_TOKEN_FILE" ]; do # made by Segue at its first start
    sleep 0.2
done
JUPYTER_GATEWAY_AUTH_TOKEN=$(cat "$SEGUE_TOKEN_FILE")
export JUPYTER_GATEWAY_URL JUPYTER_GATEWAY_AUTH_TOKEN JUPYTER_TOKEN="$JUPYTER_GATEWAY_AUTH_TOKEN"

user=$(stat -c %u "$SEGUE_PROJECTS")
group=$(stat -c %g "$SEGUE_PROJECTS")
chown "$user:$group" "$HOME"
[ "$user" != 0 ] || set -- --allow-root "$@"
cd "$SEGUE_PROJECTS"
exec setpriv --reuid="$user" --regid="$group" --clear-groups --no-new-privs --inh-caps=-all \
    jupyter lab --no-browser --ServerApp.root_dir="$SEGUE_PROJECTS" "$@"
