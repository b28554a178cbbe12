#!/usr/bin/env bash
# Runs a server as badly as it gets, to be seen under load: `unsteady.sh dibs serve …`. Every few seconds it kills
# the server with SIGKILL and starts it again, or stops it with SIGSTOP, for longer than the others wait for an
# owner, and lets it go on. SEED makes its choices repeatable. A server that ends by itself ends all of it.
set -uo pipefail

RANDOM=${SEED:-$$}
server=
trap 'kill -KILL "$server" 2>/dev/null; exit 0' TERM INT

ready() {
    { exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 &&
        read -r -t 4 line <&3 && exec 3<&- && [[ $line == *' 200 '* ]]; } 2>/dev/null
}
# Wait, but not longer than the server is there.
nap() {
    sleep "$1" &
    wait "$!"
    kill -0 "$server" 2>/dev/null && return
    wait "$server"
    code=$?
    echo "unsteady: the server ended by itself, with $code"
    exit $((code ? code : 1))
}

while :; do
    "$@" &
    server=$!
    until ready; do nap 0.2; done
    nap $((8 + RANDOM % 20))
    while [ $((RANDOM % 3)) = 0 ]; do
        echo "unsteady: SIGSTOP for 6 s"
        kill -STOP "$server"
        nap 6
        kill -CONT "$server"
        nap $((8 + RANDOM % 20))
    done
    echo "unsteady: SIGKILL"
    kill -KILL "$server"
    wait "$server" 2>/dev/null
done
