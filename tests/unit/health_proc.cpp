#include "services/health/proc.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <thread>
#include <unistd.h>

using namespace holdfast::health;
using namespace std::chrono_literals;

TEST_CASE("health: /proc/PID/stat, with a name that tries to confuse", "[health]") {
  const auto s = proc::parse_stat(
    "1234 (a ) b (c)) S 1 1234 1234 0 -1 4194560 2262 0 3 0 150 50 0 0 20 0 7 0 8812 233836544 2981 18446744073709551615 "
    "1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n");
  REQUIRE(s);
  CHECK(s->cpu_ticks == 200);
  CHECK(s->threads == 7);
  CHECK(s->start_ticks == 8812);
  CHECK(s->resident_pages == 2981);
  CHECK_FALSE(proc::parse_stat(""));
  CHECK_FALSE(proc::parse_stat("1234 (x) S 1"));
  CHECK_FALSE(proc::parse_stat("1234 (x) S 1 1 1 0 -1 0 0 0 0 0 -5 x 0 0 20 0 7 0 8812 0 2981"));
}

TEST_CASE("health: smaps_rollup, io, meminfo, loadavg", "[health]") {
  CHECK(proc::parse_pss("55a1feb91000-7ffdcb8b1000 ---p 00000000 00:00 0   [rollup]\nRss:    1736 kB\nPss:     313 kB\n"
                        "Pss_Dirty:   112 kB\n")
        == 313u * 1024);
  CHECK_FALSE(proc::parse_pss("Pss_Dirty: 112 kB\n"));
  CHECK_FALSE(proc::parse_pss(""));

  const auto io = proc::parse_io("rchar: 7674\nwchar: 698\nsyscr: 12\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 8192\n"
                                 "cancelled_write_bytes: 0\n");
  REQUIRE(io);
  CHECK(io->read_bytes == 4096);
  CHECK(io->written_bytes == 8192);
  CHECK_FALSE(proc::parse_io("read_bytes: 1\n"));

  const auto m = proc::parse_meminfo("MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n");
  REQUIRE(m);
  CHECK(m->total_bytes == 16384u * 1024);
  CHECK(m->available_bytes == 8192u * 1024);
  CHECK_FALSE(proc::parse_meminfo("MemTotal: 0 kB\nMemAvailable: 0 kB\n"));
  CHECK_FALSE(proc::parse_meminfo("MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB\n"));

  const auto l = proc::parse_loadavg("0.58 1.25 10.00 1/234 5678\n");
  REQUIRE(l);
  CHECK(l->fifteen == 10.0);
  CHECK_FALSE(proc::parse_loadavg("0.58 1.25"));
}

TEST_CASE("health: /proc/net/dev, also where name and counter touch", "[health]") {
  const auto all = proc::parse_net_dev("Inter-|   Receive                            |  Transmit\n"
                                       " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
                                       "    lo: 100 2 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n"
                                       "wwan0:7 2 0 0 0 0 0 0 9 2 0 0 0 0 0 0\n"
                                       " eth0: broken\n");
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "lo");
  CHECK(all[0].sent_bytes == 200);
  CHECK(all[1].name == "wwan0");
  CHECK(all[1].received_bytes == 7);
}

TEST_CASE("health: a process is sampled only when it holds its instance's lock", "[health]") {
  const auto directory = std::filesystem::temp_directory_path() / ("health_proc." + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  proc::sampler s(directory, directory);
  CHECK_FALSE(s.process("store", ::getpid(), 0ms));  // no lock file
  {
    std::ofstream lock(directory / "store.lock");
    const auto first = s.process("store", ::getpid(), 0ms);
    REQUIRE(first);
    CHECK(first->resident_bytes > 1'000'000);
    CHECK(first->threads >= 1);
    CHECK(first->open_files.value_or(0) >= 3);
    CHECK_FALSE(first->cpu_percent);  // needs two samples
    const auto second = s.process("store", ::getpid(), 1000ms);
    REQUIRE(second);
    CHECK(second->cpu_percent.value_or(-1) >= 0);
    CHECK_FALSE(s.process("uplink-a", ::getpid(), 0ms));
    CHECK_FALSE(s.process("store", 0, 0ms));
    CHECK_FALSE(s.process("store", -1, 0ms));
  }
  const auto m = s.read_machine();
  CHECK(m.load);
  CHECK(m.memory);
  REQUIRE(m.disk);
  CHECK(m.disk->total_bytes >= m.disk->free_bytes);
  // A directory that is not there yet: its parent's filesystem.
  CHECK(proc::sampler(directory, directory / "a" / "b").read_machine().disk->directory == directory.string());
  std::filesystem::remove_all(directory);
}
