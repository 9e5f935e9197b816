#pragma once

#include "tests/crash/log.hpp"

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace holdfast::crash {

inline constexpr std::uint64_t sector_bytes = 512;
inline constexpr std::uint64_t page_bytes = 4096;

/// Which syncs a disk that lies swallows: to prove that the test can fail.
struct lies {
  bool fdatasync = false;  ///< fdatasync and fsync of a file
  bool stable = false;     ///< O_DSYNC
  bool directory = false;  ///< fsync of the directory
  unsigned one_in = 1;     ///< not each, but one in so many
};

/// How much of what was not synced a power cut leaves.
enum class loss {
  nothing,         ///< all arrived
  everything,      ///< none
  tail,            ///< the first so many writes, in order
  writes,          ///< each write or not
  pages,           ///< each page as it was at any moment since the last sync
  sectors,         ///< each sector so
  one_page,        ///< all but one page
  lone_page,       ///< only one page
};
inline constexpr int loss_kinds = 8;
const char* name_of(loss l);

/// A file by its sectors. A cut leaves each sector as it was at any moment since it was last known to be on the disk,
/// independently of the others, and a length of any such moment, or a whole page between.
class sector_file {
public:
  void write(std::uint64_t number, std::uint64_t offset, std::string_view data);
  void resize(std::uint64_t number, std::uint64_t length);
  void synced(std::uint64_t before);
  void stable(std::uint64_t number);

  std::string content(loss l, std::mt19937_64& random) const;

private:
  struct piece {  // of a write, within one sector
    std::uint64_t number;
    std::uint64_t offset;
    std::string_view data;
    std::uint64_t sector() const noexcept { return offset / sector_bytes; }
  };
  struct length {
    std::uint64_t number;
    std::uint64_t bytes;
  };
  static void apply(std::string& to, const piece& p);
  std::vector<bool> chosen(loss l, std::mt19937_64& random) const;
  std::vector<bool> versions(std::uint64_t unit, std::mt19937_64& random) const;
  std::uint64_t cut_length(loss l, std::mt19937_64& random) const;

  std::string on_disk_;             // as long as any write, the rest zeros
  std::uint64_t length_ = 0;        // on the disk
  std::vector<piece> pieces_;       // not known to be on the disk, in order
  std::vector<length> lengths_;
};

/// The store's directory. data.mdb goes by sectors; of other files a cut leaves any whole content since the last sync.
/// Names go in order, as a journal keeps them: a cut leaves the directory as it was at any moment since it was synced.
class disk {
public:
  explicit disk(lies l) : lies_(l) {}
  void play(const step& s);

  using image = std::map<std::string, std::string>;  // name -> content
  image cut(loss l, std::mt19937_64& random) const;

private:
  struct file {
    std::string kind;  // name at its creation
    sector_file sectors{};
    std::string now{};
    std::string on_disk{};
    std::vector<std::pair<std::uint64_t, std::string>> since{};  // contents, by the event that made them
  };
  using names = std::map<std::string, std::shared_ptr<file>>;
  file& of(const step& s);
  void write(file& f, std::uint64_t offset, std::string_view data);
  void resize(file& f, std::uint64_t length);
  void change(const std::function<void(names&)>& work);
  void sync(const step& s);
  bool swallowed(bool lie);

  lies lies_;
  std::uint64_t chances_ = 0;  // to lie
  std::uint64_t life_ = 0;    // number of its first event
  std::uint64_t number_ = 0;  // of the next event, over all lives
  std::map<std::uint64_t, std::shared_ptr<file>> handles_;
  std::set<std::uint64_t> directories_;
  names names_;
  names names_on_disk_;
  std::vector<std::pair<std::uint64_t, names>> names_since_;
};

} // namespace holdfast::crash
