#include "services/store/salvage.hpp"

#include "common/storage/data_file.hpp"
#include "common/storage/lmdb.hpp"
#include "common/storage/raw_file.hpp"
#include "common/storage/row.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/storage.pb.h"
#include "services/store/batch_check.hpp"
#include "services/store/batch_file.hpp"
#include "services/store/salvage_copy.hpp"
#include "services/store/salvage_rows.hpp"
#include "services/store/table_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace holdfast::store {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t most_gap_rows = 1024;   // of 2^32 records each: a head beyond belief
constexpr std::uint64_t most_growth = 2;         // what does not come in order leaves pages half full
constexpr std::uint64_t spare_bytes = 256 << 20;

using free_list = storage::raw_file::free_list;

class salvager {
public:
  explicit salvager(const salvage_options& o)
      : o_(o), file_(o.file), copy_(o.into, most_growth * fs::file_size(o.file) + spare_bytes) {}

  salvaged work() {
    const auto looked = o_.stop_looking ? o_.stop_looking : stop_;
    tables_ = file_.tables([&](auto& found) { return worth(file_, found, looked); }, looked, o_.rows_only);
    if (tables_.contains("origins"))
      throw storage::error(EINVAL, fmt::format("failed to salvage {}: it is a collector's archive", o_.file));
    if (tables_.empty())
      out_.problems.emplace_back("it has no list of tables");
    else if (!file_.newest())
      out_.problems.emplace_back("its newest list of tables cannot be read: the last commit may be missing, or one "
                                 "that never happened be believed");
    mend_row_tables(tables_);
    rows_.read(file_, tables_, stop_);
    if (!o_.rows_only)
      read_batches();
    else if (look_for_older(); producers_older_ || rows_.is_bad("producers"))
      file_.strays([this](auto key, auto value) { take_producer(key, value); }, true, stop_);
    rows_.tell_doubt();
    write_rows();
    copy_.commit();
    out_.finished = go_on_;
    return std::move(out_);
  }

private:
  void read_batches() {
    read_confirmed();
    torn_ = mend_class_tables(tables_, given_);
    unnamed_ = !torn_.empty();
    for (auto& [name, where] : tables_)
      if (name.starts_with(class_prefix))
        read_class(name, where);
    read_strays();
    for (auto& [name, lane] : out_.classes)
      close(name, lane);
  }

  void read_confirmed() {
    for (auto& [name, value] : rows_["classes"]) {
      v1::ClassRow row;
      storage::unseal("classes", name, value, row);
      out_.classes[name].head = row.last_seq();
      given_[name] = row.last_seq();
    }
    auto& rows = rows_["delivery"];
    for (auto at = rows.begin(); at != rows.end();) {
      v1::DeliveryRow row;
      storage::unseal("delivery", at->first, at->second, row);
      const auto cut = std::min(at->first.find('\0'), at->first.size() - 1);
      const auto name = at->first.substr(cut + 1);
      auto& head = out_.classes[name].head;
      const auto ranges = sound_ranges(row, head == 0 || rows_.is_bad("classes") ? UINT64_MAX : head);
      if (!ranges) {
        rows_.bad("delivery", fmt::format("delivery: class {} is said to have numbers that were never given", name));
        at = rows.erase(at);
        continue;
      }
      range_set set;
      for (auto& r : *ranges) {
        set.insert(r);
        head = std::max(head, r.last);
      }
      confirmed_[name][at->first.substr(0, cut)] = std::move(set);
      ++at;
    }
    for (auto& [name, destinations] : o_.wanted) {
      auto& rows_of = confirmed_[name];
      std::erase_if(rows_of, [&](auto& row) { return !destinations.contains(row.first); });
      for (auto& d : destinations)
        rows_of[d];  // a row begins with the first confirmation
    }
  }

  // Only with a configuration is it known that nobody else waits for it.
  bool everywhere(const std::string& name, seq_range r) const {
    if (!o_.wanted.contains(name))
      return false;
    auto& sets = confirmed_.at(name);
    return !sets.empty() && std::all_of(sets.begin(), sets.end(), [&](auto& one) { return one.second.contains(r); });
  }

  void read_class(const std::string& table, const storage::raw_file::database& where) {
    const auto name = table.substr(class_prefix.size());
    out_.classes[name];
    const bool whole = file_.walk(where, [&](std::string_view key, std::string_view value) {
      take(name, key, value, true);
    }, stop_);
    if (!whole)
      torn_.push_back(name);
  }

  // Of leaves that a damaged branch led to, and of entries out of order, only the seal says whose they are: without,
  // they are the only class's that lacks any, where all else is known. To what the last commit brought nothing leads
  // where its list of tables is lost, or another lies there: then what is free is in use. What comes so that is
  // delivered already is compared, not sent again.
  void read_strays() {
    for (auto& name : torn_)
      out_.problems.push_back(fmt::format("class {}: not all of its pages can be read", name));
    look_for_older();
    stale_ = free_ != free_list::sound || (!torn_.empty() && !rows_.all_sound());
    if (file_.newest() && free_ == free_list::unusable && go_on_)
      out_.problems.emplace_back("its list of free pages is not what was written");
    else if (stale_ && file_.newest())
      out_.problems.emplace_back("its list of tables, or of free pages, is not of the last commit");
    auto names = torn_;
    for (auto& [name, lane] : out_.classes)
      if (stale_)
        names.push_back(name);
    if (names.empty())
      return;
    file_.strays([&](std::string_view key, std::string_view value) {
      for (auto& name : names)
        take(name, key, value, false);
      if (stale_)
        take_row(key, value);
    }, stale_ || unnamed_, stop_);
    for (auto& [name, head] : stray_heads_)
      if (head == out_.classes[name].head)
        out_.problems.push_back(fmt::format("class {}: seq {} is known from a page that nothing leads to, and may "
                                            "never have been given", name, head));
  }

  // Each by its own pages: of a commit that never happened pages are left as well, and of a table that is the last
  // commit's nothing newer can be found.
  void look_for_older() {
    free_ = file_.newest() ? file_.walk_free(stop_) : free_list::unusable;
    const auto older = [this](const char* name) {
      const auto where = tables_.find(name);
      return !file_.newest()
             || (free_ == free_list::in_use && where != tables_.end() && file_.leads_to_free(where->second, stop_));
    };
    producers_older_ = older("producers");
    classes_older_ = older("classes");
  }

  void take_producer(std::string_view key, std::string_view value) {
    if (producers_older_ || rows_.is_bad("producers"))
      rows_.take_producer(key, value, producers_older_);
  }

  // The last commit's batches come back without their tables. Its producers must too, or they send these again; and the
  // numbers that it gave, so that what is not found of them is told as lost.
  void take_row(std::string_view key, std::string_view value) {
    take_producer(key, value);
    v1::ClassRow row;
    const auto lane = out_.classes.find(std::string(key));
    if (lane == out_.classes.end() || (!classes_older_ && given_.contains(lane->first))
        || !is_row_of("classes", key, value, row) || row.last_seq() <= lane->second.head)
      return;
    lane->second.head = stray_heads_[lane->first] = row.last_seq();
  }

  bool still_its(const std::string& name, seq_range r, const storage::stored_batch& b) const {
    const bool known = b.sealed || (!stale_ && rows_.all_sound() && torn_ == std::vector{name});
    return known && !b.payload.empty() && !everywhere(name, r);
  }

  // Strays are offered to each class, also what is held already, and most are another's: only the seal is looked at.
  void take(const std::string& name, std::string_view key, std::string_view value, bool reached) {
    const auto first = storage::key_seq(key);
    auto& held = held_[name];
    if (key.size() != sizeof first || first == 0 || held.contains({first, first}))
      return;
    const auto stored = storage::stored_batch::decode(value, {name, key}, reached);
    const auto content = stored ? content_of(*stored) : batch_content{};
    if (!content.whole || content.records == 0 || content.records - 1 > UINT64_MAX - first)
      return;
    const seq_range seqs{first, first + content.records - 1};
    // What its table does not lead to may be of a commit that never happened: its producer sends it again.
    const bool given = (stored->sealed && (reached || classes_older_)) || !given_.contains(name)
                       || seqs.last <= given_.at(name);
    if (!given || held.touches(seqs) || (!reached && !still_its(name, seqs, *stored)))
      return;
    if (given_.contains(name) && seqs.last > given_.at(name))
      given_.erase(name);  // its row is older than its table
    held.insert(seqs);
    auto& lane = out_.classes[name];
    lane.head = std::max(lane.head, seqs.last);
    if (!stored->payload.empty())
      ++lane.batches;
    (stored->payload.empty() ? lane.gap_records : lane.records) += content.records;
    auto sound = *stored;
    sound.record_count = static_cast<std::uint32_t>(content.records);
    sound.gap_reason = stored->payload.empty() ? stored->gap_reason : 0;
    write(name, first, sound);
  }

  void write(const std::string& name, std::uint64_t first, const storage::stored_batch& b) {
    const auto key = storage::seq_key(first);
    std::string value(b.encoded_bytes(), '\0');
    b.encode(value.data(), {name, key});
    copy_.put(std::string(class_prefix) + name, key, value);
  }

  void close(const std::string& name, salvaged::lane& lane) {
    auto& held = held_[name];
    lane.held = held.ranges();
    if (lane.head == 0)
      return;
    const auto& by_destination = confirmed_[name];
    range_set missing;
    for (auto& hole : held.outside({1, lane.head})) {
      if (by_destination.empty())
        missing.insert(hole);
      for (auto& [destination, set] : by_destination)
        for (auto& piece : set.outside(hole))
          missing.insert(piece);
    }
    (rows_.is_bad("delivery") ? lane.doubtful : lane.lost) = missing.ranges();
    std::uint64_t rows = 0;
    for (auto& r : lane.lost)
      for (auto from = r.first; from <= r.last && from != 0 && rows < most_gap_rows; ++rows) {
        const auto count = std::min<std::uint64_t>(r.last - from + 1, UINT32_MAX);
        write(name, from, damaged_gap(count));
        from += count;
      }
  }

  void write_rows() {
    if (o_.rows_only)
      rows_.forget_numbers();
    rows_.begin_epoch(o_.gateway);
    for (auto& [name, lane] : out_.classes)
      rows_.set_head(name, lane.head);
    out_.producers = rows_["producers"].size();
    rows_.write(copy_);
    for (auto& [name, lane] : out_.classes)
      copy_.make(std::string(class_prefix) + name);
  }

  const salvage_options& o_;
  storage::raw_file file_;
  salvage_copy copy_;
  storage::raw_file::databases tables_;
  std::map<std::string, std::map<std::string, range_set>> confirmed_;   // class -> of each destination that counts
  std::map<std::string, std::uint64_t> given_;                          // class -> highest number, as its row says
  std::map<std::string, range_set> held_;
  free_list free_ = free_list::unusable;
  bool stale_ = false;                                                  // the list of tables, or of free pages
  bool producers_older_ = false;                                        // than the last commit: these tables
  bool classes_older_ = false;
  std::map<std::string, std::uint64_t> stray_heads_;                    // class -> its head, from a stray row
  std::vector<std::string> torn_;                                       // classes
  bool unnamed_ = false;                                                // one has no table: its pages are another's
  salvaged out_;
  salvage_rows rows_{out_.problems};
  bool go_on_ = true;
  const std::function<bool()> stop_ = [this] { return !(go_on_ = go_on_ && !(o_.stop && o_.stop())); };
};

} // namespace

salvaged salvage(const salvage_options& o) { return salvager(o).work(); }

} // namespace holdfast::store
