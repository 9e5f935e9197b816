# Part of deploy/quickstart: the processes it started, known by pid and start time, and only those.
# shellcheck shell=bash disable=SC2154,SC2164,SC2034 # variables and set -e come from there

start_time() { # PID; nothing for one that is gone or a zombie
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
  local fields
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} == Z ]] || echo "${fields[19]}"
}

runs() { # PID START-TIME
  local now
  now=$(start_time "$1")
  [[ -n $now && $now == "$2" ]]
}

launch() { # ROLE PROGRAM ARGUMENT...: in a session of its own, so that a Ctrl-C here reaches us alone
  local role=$1
  shift
  setsid "$@" >>"$logs/$role.log" 2>&1 </dev/null 9>&- &
  printf '%s %s %s\n' "$!" "$(start_time "$!")" "$role" >>"$started"
}

end_process() { # PID START-TIME SECONDS
  local turns=$(($3 * 10))
  runs "$1" "$2" || return 0
  kill -TERM "$1" 2>/dev/null || return 0
  while runs "$1" "$2"; do
    if ((turns-- == 0)); then
      kill -KILL "$1" 2>/dev/null || true
      return 0
    fi
    sleep 0.1
  done
}

# Services outlive a watchdog that was killed. Their locks tell who they are.
end_orphans() {
  local lock pid
  for lock in "$work"/run/*/*.lock; do
    [[ -s $lock ]] || continue
    read -r pid <"$lock" || true
    if [[ $pid =~ ^[0-9]+$ ]] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$work/"; then
      end_process "$pid" "$(start_time "$pid")" 5
    fi
  done 2>/dev/null
}

stop_all() {
  local roles role pid began
  [[ -s $started ]] || return 0
  roles=(device plant gateway collector) # the field first, the centre last
  for role in "${roles[@]}"; do
    while read -r pid began _; do
      end_process "$pid" "$began" 15
    done < <(grep " $role\$" "$started" || true)
  done
  end_orphans
  [[ ! -L $work/run ]] || rm -rf "$(readlink "$work/run")" "$work/run" # see write_configuration
  rm -f "$started"
}
