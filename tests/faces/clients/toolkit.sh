#!/bin/sh
# Polls a toolkit job until it is done, and prints what it was told. URL JOB
set -eu
while :; do
  body=$(curl -sS -X POST -H "x-api-key: YOUR_API_KEY" -H "Content-Type: application/json" \
    -d "{\"job_id\": \"$2\"}" "$1/v1/toolkit/job/status")
  echo "$body"
  case $body in
    *'"job_status":"done"'*) break ;;
    *'"error":'*) exit 1 ;;
  esac
  sleep 0.05
done
