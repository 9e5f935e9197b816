# Part of deploy/quickstart: free ports and the two configuration files.
# shellcheck shell=bash disable=SC2154,SC2164,SC2034 # variables and set -e come from there

listening() { # PORT
  awk -v port="$(printf ':%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 }
    END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

collector_port='' page_port='' lines_port='' modbus_port=''
claimed=' '
free_port() { # VARIABLE PREFERRED: that one or the next that is free
  local port=$2
  while listening "$port" || [[ $claimed == *" $port "* ]]; do
    port=$((port + 1))
  done
  claimed+="$port "
  printf -v "$1" %s "$port"
}

write_configuration() {
  free_port collector_port 7410
  free_port page_port 9464
  free_port lines_port 4001
  free_port modbus_port 5020
  # A Unix socket's path has 107 bytes.
  local run=$work/run
  if ((${#run} > 60)); then
    rm -rf "$run"
    ln -sfn "$(mktemp -d /tmp/holdfast-quickstart.XXXXXX)" "$run"
    run=$(readlink "$run")
  fi
  gateway_file >"$work/gateway.yaml"
  collector_file >"$work/collector.yaml"
}

pump() { # NAME UNIT
  cat <<YAML
      - name: $1
        unit: $2
        period: 1s
        points:
          - {name: pressure, table: input, address: 0, type: float32}
          - {name: temperature, table: input, address: 8, type: int16, scale: 0.1}
          - {name: running, address: 9, bit: 0, report: on-change}
YAML
}

gateway_file() {
  cat <<YAML
# Written by deploy/quickstart.
name: quickstart
run_directory: $run/gateway

sources:
  - name: press-7              # a device that sends lines and wants them confirmed
    type: tcp-server
    class: critical
    listen: 127.0.0.1:$lines_port
    confirm: count
  - name: pumps                # a Modbus TCP gateway with three units
    type: modbus-tcp
    connect: 127.0.0.1:$modbus_port
    devices:
$(pump pump-1 1)
$(pump pump-2 2)
$(pump pump-3 3)
  - name: trial                # made up
    type: simulator
    period: 1s
    signals:
      - {name: vibration, shape: sine, amplitude: 2.0, cycle: 10s}

store:
  directory: $work/data/store

destinations:
  - name: centre

links:
  - name: main
    destination: centre
    connect: 127.0.0.1:$collector_port

health:
  listen: 127.0.0.1:$page_port
YAML
}

collector_file() {
  cat <<YAML
# Written by deploy/quickstart.
name: centre
run_directory: $run/collector

collector:
  listen: 127.0.0.1:$collector_port
  directory: $work/data/collector
YAML
}
