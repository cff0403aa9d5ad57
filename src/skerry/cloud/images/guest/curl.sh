#!/bin/sh
# The little of curl that test scripts use on a guest, on top of Busybox wget; curl itself is many times this image.
output=- patience= header=
unset post
while [ $# -gt 1 ]; do
  case $1 in
    -o) output=$2 && shift ;;
    -m | --connect-timeout | --max-time) patience=$2 && shift ;;
    -d | --data) post=$2 && shift ;;
    -X | --request)
      case $2 in
        GET) ;;
        POST) post=${post-} ;;
        *) echo "curl: this guest's curl knows no method '$2'" >&2; exit 2 ;;
      esac
      shift ;;
    -H) header=$2 && shift ;;
    -s | -f | -S | -L | -sS | -fs | -sf | -fsS | --silent | --fail) ;;
    *) echo "curl: this guest's curl knows no option '$1'" >&2; exit 2 ;;
  esac
  shift
done
exec ${patience:+timeout "$patience"} wget -q ${post+--post-data "$post"} ${header:+--header "$header"} -O "$output" "$1"
