#include "services/collector/dump.hpp"

#include "common/render/record_json.hpp"
#include "common/storage/lmdb.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/record.pb.h"
#include "holdfast/v1/storage.pb.h"
#include "services/collector/archive.hpp"
#include "services/collector/hole_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <optional>
#include <thread>
#include <utility>

namespace holdfast::collector {

namespace {

using namespace std::chrono_literals;

constexpr auto poll = 50ms;  // --follow: how often the file is looked at
// One look into the file: then its read transaction ends, before anything is written. Whoever reads the output may stop
// reading; a transaction held meanwhile would keep every freed page from the collector.
constexpr int batches_per_look = 256;
constexpr std::size_t text_per_look = 1 << 20;

std::string quoted(const std::string& name) {
  std::string text;
  render::append_json_string(text, name);
  return text;
}

/// What is known of an origin, and how far it is printed.
struct progress {
  v1::OriginRow row;
  std::uint64_t next = 1;   // seq printed next
  std::uint64_t reach = 1;  // a batch that begins up to here follows without a hole

  // Its batch says nothing of its length, but what arrived without a hole tells where the next one may begin at most.
  std::uint64_t after_damaged(std::uint64_t seq) const {
    for (auto& r : row.ranges())
      if (r.first() <= seq && seq <= r.last())
        return r.last() + 1;
    return seq + 1;
  }

  std::uint64_t held_beyond() const {
    std::uint64_t records = 0;
    for (auto& r : row.ranges())
      if (r.last() >= next)
        records += r.last() - std::max<std::uint64_t>(r.first(), next) + 1;
    return records;
  }

  std::string who() const {
    return fmt::format("gateway {} class {} epoch {:016x}", quoted(row.gateway()), quoted(row.record_class()),
                       row.epoch());
  }
};

class dumper {
public:
  dumper(const dump_options& o, const text_sink& out)
      : options_(o), out_(out), env_(o.directory, 0, storage::environment::mode::read_only) {
    auto need = [&](const char* name) {
      auto t = env_.open_table(name);
      if (!t)
        throw std::runtime_error(fmt::format("failed to read {}: not a collector's directory", o.directory));
      return *t;
    };
    origins_ = need("origins");
    batches_ = need("batches");
    arrivals_ = need("arrivals");
    index_ = need("index");
  }

  int run() {
    if (options_.stats_only) {
      print_origins();
      return 0;
    }
    while (!stopped()) {
      learn_origins();
      const bool more = options_.arrival_order ? by_arrival() : by_seq();
      write_out();
      if (!more && !options_.follow)
        break;
      if (!more && !stopped())
        std::this_thread::sleep_for(poll);
    }
    return damaged_ ? 1 : 0;
  }

private:
  bool stopped() const { return left_ || (options_.stop && options_.stop()); }

  // Origins change only with what arrives.
  void learn_origins() {
    storage::txn t(env_, storage::txn::kind::read);
    storage::cursor a(t, arrivals_);
    const auto last = a.last();
    const auto number = last ? storage::key_seq(last->key) : 0;
    if (number == learned_)
      return;
    learned_ = number;
    storage::cursor c(t, origins_);
    for (auto e = c.first(); e; e = c.next()) {
      v1::OriginRow row;
      if (row.ParseFromArray(e->value.data(), static_cast<int>(e->value.size())))
        known_[row.id()].row = std::move(row);
    }
  }

  void print_origins() {
    learn_origins();
    for (auto& [id, o] : known_) {
      std::uint64_t records = 0;
      for (auto& r : o.row.ranges())
        records += r.last() - r.first() + 1;
      text_ += fmt::format("{{\"gateway\":{},\"epoch\":\"{:016x}\",\"class\":{},\"records\":{},\"ranges\":{}}}\n",
                           quoted(o.row.gateway()), o.row.epoch(), quoted(o.row.record_class()), records,
                           o.row.ranges_size());
    }
    write_out();
  }

  // True: there may be more right now. Each origin goes on by itself: the hole of one, such as the last epoch of a
  // store that was wiped, holds up no other.
  bool by_seq() {
    bool more = false;
    for (auto& [id, o] : known_) {
      if (!wanted(o))
        continue;
      bool hole = false;
      more = one_origin(id, o, hole) || more;
      if (options_.follow)
        tell_hole(id, o, hole);
      write_out();
      if (left_)
        return false;
    }
    return more;
  }

  bool one_origin(std::uint64_t id, progress& o, bool& hole) {
    storage::txn t(env_, storage::txn::kind::read);
    storage::cursor c(t, index_);
    int n = 0;
    for (auto e = c.at_or_after(storage::seq_key(id) + storage::seq_key(o.next)); e; e = c.next()) {
      if (storage::key_seq(e->key.substr(0, 8)) != id)
        return false;
      const auto seq = storage::key_seq(e->key.substr(8));
      hole = seq > o.reach;
      if (options_.follow && hole)
        return false;  // what belongs there is still on its way
      if (++n > batches_per_look || text_.size() > text_per_look || stopped())
        return true;
      print(o, seq, t.get(batches_, e->value));
    }
    return false;
  }

  bool by_arrival() {
    storage::txn t(env_, storage::txn::kind::read);
    storage::cursor c(t, arrivals_);
    int n = 0;
    for (auto e = c.at_or_after(storage::seq_key(next_arrival_)); e; e = c.next()) {
      const auto number = storage::key_seq(e->key);
      if (number > learned_ || ++n > batches_per_look || text_.size() > text_per_look || stopped())
        return true;
      next_arrival_ = number + 1;
      const auto seq = storage::key_seq(e->value.substr(8));
      auto o = known_.find(storage::key_seq(e->value.substr(0, 8)));
      if (o == known_.end())
        complain(fmt::format("damaged origin: of arrival {} seq {}\n", number, seq));
      else if (wanted(o->second))
        print(o->second, seq, t.get(batches_, e->key));
    }
    return false;
  }

  bool wanted(const progress& o) const { return options_.gateway.empty() || options_.gateway == o.row.gateway(); }

  void print(progress& o, std::uint64_t first, std::optional<std::string_view> value) {
    const auto b = value ? storage::stored_batch::decode(*value) : std::nullopt;
    o.next = first + (b ? b->record_count : 1);
    o.reach = b ? o.next : o.after_damaged(first);
    const auto wrong = b ? print_batch(o, first, *b) : "has no header";
    if (!wrong.empty())
      complain(fmt::format("damaged batch: {} seq {}: {}\n", o.who(), first, wrong));
  }

  // What is wrong with it; empty: nothing. Numbers beyond its own belong to the next batch, whatever it carries.
  std::string print_batch(const progress& o, std::uint64_t first, const storage::stored_batch& b) {
    v1::RecordPlace place;
    place.set_gateway(o.row.gateway());
    place.set_epoch(o.row.epoch());
    place.set_record_class(o.row.record_class());
    place.set_first_seq(first);
    if (!b.intact())
      return "does not match its checksum";
    if (b.gap_reason != 0) {
      render::append_json_gap(text_, place, b.record_count, static_cast<int>(b.gap_reason));
      return {};
    }
    if (!batch_.ParseFromArray(b.payload.data(), static_cast<int>(b.payload.size())))
      return "is not a holdfast.v1.Batch";
    const auto has = static_cast<std::uint32_t>(batch_.records_size());
    render::batch_lines lines(place, batch_);
    for (int i = 0; i < static_cast<int>(std::min(has, b.record_count)); ++i)
      if (options_.stream.empty() || is_chosen(batch_.records(i)))
        lines.append_json(text_, i);
    return has == b.record_count ? "" : fmt::format("announces {} records, has {}", b.record_count, has);
  }

  bool is_chosen(const v1::Record& r) const {
    const auto stream = static_cast<int>(r.stream());
    return stream < batch_.streams_size() && batch_.streams(stream) == options_.stream;
  }

  void tell_hole(std::uint64_t id, const progress& o, bool hole) {
    switch (holes_.look(id, hole ? std::optional(o.next) : std::nullopt, std::chrono::steady_clock::now())) {
      case hole_watch::news::none: return;
      case hole_watch::news::waits:
        errors_ += fmt::format("waiting: {}: seq {} has not arrived, {} newer records are held\n", o.who(), o.next,
                               o.held_beyond());
        return;
      case hole_watch::news::goes_on: errors_ += fmt::format("going on: {}: at seq {}\n", o.who(), o.next); return;
    }
  }

  void complain(const std::string& text) {
    damaged_ = true;
    errors_ += text;
  }

  // Never inside a transaction; standard error may be as stuck as the output.
  void write_out() {
    if (!text_.empty() && !left_ && !out_(text_))
      left_ = true;
    text_.clear();
    if (!errors_.empty())
      std::cerr << std::exchange(errors_, {}) << std::flush;
  }

  const dump_options& options_;
  const text_sink& out_;
  storage::environment env_;
  storage::table origins_ = 0;
  storage::table batches_ = 0;
  storage::table arrivals_ = 0;
  storage::table index_ = 0;
  std::map<std::uint64_t, progress> known_;
  std::uint64_t learned_ = 0;  // last arrival whose origin is known
  std::uint64_t next_arrival_ = 1;
  hole_watch holes_;
  v1::Batch batch_;
  std::string text_;    // of this look, not yet written
  std::string errors_;  // of this look, not yet written
  bool damaged_ = false;
  bool left_ = false;   // nobody reads any more
};

} // namespace

int dump(const dump_options& options, const text_sink& out) {
  try {
    return dumper(options, out).run();
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 2;
  }
}

} // namespace holdfast::collector
