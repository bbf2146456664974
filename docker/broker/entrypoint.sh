#!/usr/bin/env bash
# broker (the default): a broker, set up by the environment. live-view: what ZooKeeper says. Any other words are run as a command.
# Nothing of the environment is evaluated here; libs/docker.mjs reads it.
set -euo pipefail
docker=/opt/kafka/libs/docker.mjs
case ${1:-bash} in
  broker)
    shift
    file=/tmp/server.properties
    node "$docker" properties "$file"
    if [ -n "${KAFKA_CREATE_TOPICS:-}" ]; then
      (node "$docker" create-topics </dev/null &)
    fi
    # The broker takes the place of this shell: SIGTERM reaches it, and its exit code is the container's.
    exec kafka-server-start.sh "$file" "$@"
    ;;
  live-view)
    shift
    exec node "$docker" live-view "$@"
    ;;
  *)
    exec "${@:-bash}"
    ;;
esac
