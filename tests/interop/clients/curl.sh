#!/usr/bin/env bash
# `curl -N`, and a shell that reconnects with the last id. Data is one line of JSON.
url=$1 job=$2 cursor= status= retry=1
while [ "$status" != 204 ]; do
  event= data= id=
  while IFS= read -r line; do
    case $line in
      "event: "*) event=${line#event: } ;;
      "id: "*) id=${line#id: } ;;
      "retry: "*) retry=${line#retry: } retry=${retry%???} ;;
      "data: "*) data=${line#data: } ;;
      "status: "*) status=${line#status: } ;;
      "")
        [ -z "$event" ] && [ -n "$data" ] && echo "{\"state\": $data}"
        [ "$event" = logs ] && echo "{\"logs\": $data}"
        cursor=${id:-$cursor} event= data= id= ;; # an event cut in the middle is none
    esac
  done < <(curl -sN -H "Accept: text/event-stream" ${cursor:+-H "Last-Event-ID: $cursor"} \
    -w '\nstatus: %{http_code}\n' "$url/v1/jobs/$job/events?logs=1")
  [ "$status" = 204 ] || sleep "$retry"
done
echo '{"over": 204}'
