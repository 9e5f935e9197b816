# Part of deploy/quickstart: the build, with a log file and quiet progress.
# shellcheck shell=bash disable=SC2154,SC2164,SC2034 # variables and set -e come from there

show_failure() { # LOG
  printf '\n---- the end of %s\n' "$1" >&2
  tail -n 40 "$1" >&2
}

# As many compilers at once as there are cores, and 700 MB for each.
jobs() {
  local kilobytes cores most
  kilobytes=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
  cores=$(nproc)
  most=$((kilobytes / 700000))
  echo $((most < 1 ? 1 : most < cores ? most : cores))
}

show_progress() { # while the builder runs
  local last='' now
  while kill -0 "$builder" 2>/dev/null; do
    sleep 1
    now=$(grep -ao '^\[[0-9]*/[0-9]*\]' "$logs/build.log" | tail -n 1 || true)
    [[ -n $now && $now != "$last" ]] || continue
    if [[ -t 1 ]]; then
      printf '\r   %s ' "$now"
    elif ((SECONDS % 20 == 0)); then
      say "   $now"
    fi
    last=$now
  done
  [[ ! -t 1 || -z $last ]] || printf '\r%20s\r' ''
}

compile() {
  local settings=()
  step "building in $build (a first time takes minutes; log: $logs/build.log)"
  cd "$root"
  [[ -e $build/CMakeCache.txt ]] || settings=(-DHOLDFAST_TESTS=OFF)
  if [[ ! -e $build/build.ninja ]] && ! cmake --preset release "${settings[@]}" >"$logs/configure.log" 2>&1; then
    show_failure "$logs/configure.log"
    fail "CMake could not prepare the build"
  fi
  NINJA_STATUS='[%f/%t] ' nice cmake --build --preset release -j "$(jobs)" --target "${targets[@]}" \
    >"$logs/build.log" 2>&1 </dev/null 9>&- &
  builder=$!
  show_progress
  if ! wait "$builder"; then
    builder=''
    show_failure "$logs/build.log"
    fail "the build failed"
  fi
  builder=''
  say "   done in ${SECONDS} s"
}
