#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::health::proc {

using std::chrono::milliseconds;

// -- parsers: the text of one /proc file in, figures out; nullopt for anything else -----------------------------------

struct stat {
  std::uint64_t cpu_ticks = 0;    ///< user and system
  std::uint64_t start_ticks = 0;  ///< since boot; with the pid it names one life of a process
  std::uint64_t threads = 0;
  std::uint64_t resident_pages = 0;
};
std::optional<stat> parse_stat(std::string_view text);

/// Proportional set size in bytes, from smaps_rollup.
std::optional<std::uint64_t> parse_pss(std::string_view text);

struct io {
  std::uint64_t read_bytes = 0;     ///< from storage, not from the page cache
  std::uint64_t written_bytes = 0;
};
std::optional<io> parse_io(std::string_view text);

struct memory {
  std::uint64_t total_bytes = 0;
  std::uint64_t available_bytes = 0;
};
std::optional<memory> parse_meminfo(std::string_view text);

struct load {
  double one = 0;
  double five = 0;
  double fifteen = 0;
};
std::optional<load> parse_loadavg(std::string_view text);

struct interface {
  std::string name;
  std::uint64_t received_bytes = 0;
  std::uint64_t sent_bytes = 0;
};
std::vector<interface> parse_net_dev(std::string_view text);

// -- the reader -------------------------------------------------------------------------------------------------------

/// What one process uses. What the kernel does not let us see is empty.
struct usage {
  double cpu_seconds = 0;
  std::optional<double> cpu_percent;  ///< of one core, since the sample before
  std::uint64_t resident_bytes = 0;
  std::optional<std::uint64_t> proportional_bytes;
  std::uint64_t threads = 0;
  std::optional<std::uint64_t> open_files;
  std::optional<io> storage;
};

struct disk {
  std::string directory;
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;  ///< for users other than root
};

struct machine {
  std::optional<proc::load> load;
  std::optional<proc::memory> memory;
  std::optional<proc::disk> disk;
  std::vector<interface> interfaces;
};

/// Reads /proc. One thread.
class sampler {
public:
  /// `disk_directory`: whose filesystem is watched; where it does not exist yet, its nearest parent.
  sampler(std::string run_directory, std::string disk_directory, std::string root = "/proc");

  /// Empty unless process `pid` of our pid namespace is that instance: a container's pid 1 must not be taken for ours.
  std::optional<usage> process(const std::string& instance, std::int64_t pid, milliseconds now);
  machine read_machine() const;

private:
  struct history {
    std::int64_t pid = 0;
    std::uint64_t start_ticks = 0;
    std::uint64_t cpu_ticks = 0;
    milliseconds at{0};
    milliseconds pss_due{0};
    std::optional<std::uint64_t> pss;
  };
  bool is(const std::string& instance, const std::string& directory) const;
  void read_pss(history& h, const std::string& directory, milliseconds now) const;

  std::string run_directory_;
  std::string disk_directory_;
  std::string root_;
  std::map<std::string, history> known_;
};

} // namespace holdfast::health::proc
