#!/bin/sh
# The little of curl that scripts use on a guest, on top of Busybox wget and nc; curl itself is many times this image.
output=- patience= method= url=
unset post
line='
'
headers=
while [ $# -gt 0 ]; do
  case $1 in
    -o) output=$2 && shift ;;
    -m | --connect-timeout | --max-time) patience=$2 && shift ;;
    -d | --data | --data-binary) post=$2 && shift ;;
    -X | --request)
      case $2 in
        GET | POST | PUT) method=$2 ;;
        *) echo "curl: this guest's curl knows no method '$2'" >&2; exit 2 ;;
      esac
      shift ;;
    -H)
      [ -z "${2##*:}" ] || headers="$headers${headers:+$line}$2"  # a name alone means: without it
      shift ;;
    -s | -f | -S | -L | -i | -sS | -fs | -sf | -fsS | --silent | --fail | --include) ;;
    -*) echo "curl: this guest's curl knows no option '$1'" >&2; exit 2 ;;
    *) url=$1 ;;
  esac
  shift
done

put() {
  rest=${url#http://}
  host=${rest%%/*}
  port=${host##*:}
  [ "$port" != "$host" ] || port=80
  {
    printf 'PUT /%s HTTP/1.0\r\nHost: %s\r\nContent-Length: %s\r\n' "${rest#*/}" "$host" "${#post}"
    IFS=$line
    for header in $headers; do printf '%s\r\n' "$header"; done
    printf '\r\n%s' "$post"
  } | ${patience:+timeout "$patience"} nc "${host%:*}" "$port" | {
    read -r version status reason || exit 7
    sed '1,/^\r*$/d'
    [ "${status#2}" != "$status" ] || { echo "curl: the server's answer is $status $reason" >&2; exit 22; }
  }
}

set -f
if [ "$method" = PUT ]; then
  post=${post-}
  [ "$output" = - ] || exec >"$output"
  put
  exit
fi
[ "$method" != POST ] || post=${post-}
set --
IFS=$line
for header in $headers; do set -- "$@" --header "$header"; done
unset IFS
exec ${patience:+timeout "$patience"} wget -q ${post+--post-data "$post"} "$@" -O "$output" "$url"
