# Part of deploy/quickstart: was anything lost?
# shellcheck shell=bash disable=SC2154,SC2164,SC2034 # variables and set -e come from there

# A line "SOURCE RECORDS" for each source.
acquired_by_source() {
  at_gateway status --json |
    grep -o '"labels":{[^}]*},"name":"holdfast_source_records_total"[^}]*' |
    sed -E 's/.*"source":"([^"]*)".*"value":([0-9]+).*/\1 \2/'
}
sum() { awk '{ n += $2 } END { print n + 0 }'; }

# A line "CLASS RECORDS" for each class.
archived_by_class() {
  at_centre collector dump --stats | sed -E 's/.*"class":"([^"]*)","records":([0-9]+).*/\1 \2/'
}

# Modbus and the made-up signal never end: we look until a moment is caught in which all that was taken has arrived and
# nothing was taken meanwhile. Sets acquired, and archived (by class) at that moment.
catch_quiet_moment() {
  local before turns=100
  while ((turns-- > 0)); do
    before=$(acquired_by_source | sum)
    archived=$(archived_by_class)
    sources=$(acquired_by_source)
    acquired=$(sum <<<"$sources")
    [[ $before != "$acquired" || $acquired != "$(sum <<<"$archived")" ]] || return 0
    sleep 0.15
  done
}

# Counts what is really in the archive: distinct records up to that moment, of one stream or of all.
delivered() { # OPTION...
  at_centre collector dump "$@" |
    sed -nE 's/^.*"class":"([^"]*)","seq":([0-9]+),.*"epoch":"([0-9a-f]+)"\}$/\1 \2 \3/p' |
    LC_ALL=C sort -u |
    awk -v limits="${archived//$'\n'/ }" '
      BEGIN { n = split(limits, word, " "); for (i = 1; i < n; i += 2) last[word[i]] = word[i + 1] }
      $2 <= last[$1] { records++ }
      END { print records + 0 }'
}

records_kept() { grep -o '"records":[0-9]*' | cut -d: -f2 | awk '{ n += $1 } END { print n + 0 }'; }

summary() {
  local arrived lines verdict=0
  catch_quiet_moment
  arrived=$(delivered)
  lines=$(delivered --stream press-7)
  step "summary"
  while read -r name count; do
    printf '   %-28s %9d\n' "taken from $name" "$count"
  done <<<"$sources"
  printf '   %-28s %9d\n   %-28s %9d\n   %-28s %9d\n' acquired "$acquired" delivered "$arrived" \
    lost $((acquired - arrived))
  printf '   the device: %s\n' "$(tail -n 1 "$logs/device.log" | sed 's/ modbus requests.*//')"
  if ((arrived > acquired)); then
    say "   More arrived than acquisition counts: it was restarted meanwhile, and counts from 0 again."
    verdict=1
  elif ((arrived < acquired)); then
    say "   The store still holds $(at_gateway store stat --json | records_kept) of them. See $logs"
    verdict=1
  fi
  if ((lines != rate * seconds)); then
    say "   The device made $((rate * seconds)) lines, and $lines arrived."
    verdict=1
  fi
  return "$verdict"
}

where_next() {
  local ctl=${bin#"$PWD"/}/holdfastctl dir=${work#"$PWD"/}
  cat <<TEXT

   what arrived       $ctl --config $dir/collector.yaml collector dump | tail
   the store's file   $ctl --config $dir/gateway.yaml store stat
   logs, settings     $dir
TEXT
  if [[ -z $keep ]]; then
    say "   keep it running    ${BASH_SOURCE[-1]} --keep"
    return
  fi
  cat <<TEXT

It goes on running, and the device with it:
   status page        http://127.0.0.1:$page_port/
   who runs           $ctl --config $dir/gateway.yaml status
   live records       $ctl --config $dir/gateway.yaml tap --records
   try to break it    kill -9 any of the processes, then look again
   stop               ${BASH_SOURCE[-1]} --stop
TEXT
}
