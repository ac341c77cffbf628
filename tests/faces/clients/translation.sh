#!/bin/sh
# Polls a translation until it has ended, prints what it was told, and takes the file. URL JOB OUT
set -eu
while :; do
  answer=$(curl -sS -w '\n%{http_code}' -X GET "$1/api/v1/status/$2" -H "Content-Type: application/json")
  code=${answer##*
}
  body=${answer%
*}
  if [ "$code" = 404 ]; then
    echo "$body" >&2
    exit 4
  fi
  echo "$body"
  case $body in
    *'"status":"completed"'*) break ;;
    *'"status":"failed"'*) exit 1 ;;
  esac
  sleep 0.05
done
curl -sS --fail -D "$3.headers" -o "$3" "$1/api/v1/download/$2"
