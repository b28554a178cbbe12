#!/usr/bin/env bash
# The synchronous standby of the primary `postgres`: a copy of its data, which follows it from then on, and which
# each commit waits for. `standby.sh healthy` says whether commits do. It finds PostgreSQL's programs by itself,
# runs as the user of PostgreSQL, and keeps its data where the image has them.
set -euo pipefail

server=$(command -v postgres || find /usr/lib /usr/local -type f -name postgres -perm -u+x | sort -V | tail -n 1)
programs=${server%/*}
data=${PGDATA:-/var/lib/postgresql/data}
primary="host=${PRIMARY:-postgres} user=${POSTGRES_USER:-dibs} connect_timeout=5"

ask() { "$programs/psql" "$primary dbname=postgres" --no-psqlrc --quiet --tuples-only --no-align --command "$1"; }
follows() { [ "$(ask "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'standby' AND $1")" = 1 ]; }

if [ "${1:-}" = healthy ]; then
    follows "sync_state = 'sync'"
    exit
fi

if [ ! -s "$data/PG_VERSION" ]; then
    mkdir -p "$data"
    chmod 700 "$data"
    until "$programs/pg_basebackup" --dbname "$primary application_name=standby" --pgdata "$data" \
        --write-recovery-conf --wal-method stream --checkpoint fast; do
        find "$data" -mindepth 1 -delete
        sleep 1
    done
fi

# Once it follows, commits wait for it: before, they would wait for nobody.
(
    until follows "state = 'streaming'" 2>/dev/null; do sleep 0.5; done
    ask "ALTER SYSTEM SET synchronous_standby_names = 'standby'"
    ask "SELECT pg_reload_conf()" >/dev/null
) &
exec "$programs/postgres" -D "$data" -c "listen_addresses=*" -k /tmp
