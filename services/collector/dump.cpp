#include "services/collector/dump.hpp"

#include "common/render/record_json.hpp"
#include "common/storage/lmdb.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/record.pb.h"
#include "holdfast/v1/storage.pb.h"
#include "services/collector/archive.hpp"

#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <map>
#include <thread>

namespace holdfast::collector {

namespace {

using namespace std::chrono_literals;

constexpr auto poll = 50ms;             // --follow: how often the file is looked at
constexpr int batches_per_look = 256;   // then the read transaction ends, so that the collector can reuse pages

class dumper {
public:
  dumper(const dump_options& o, std::ostream& out)
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
    if (options_.stats_only)
      return print_origins();
    while (!stopped()) {
      learn_origins();
      const bool more = options_.arrival_order ? by_arrival() : by_seq();
      out_.flush();
      if (!out_)
        return 0;  // nobody reads any more
      if (!more && !options_.follow)
        break;
      if (!more)
        std::this_thread::sleep_for(poll);
    }
    return damaged_ ? 1 : 0;
  }

private:
  struct origin_state {
    v1::OriginRow row;
    std::uint64_t next = 1;  // seq printed next
  };

  bool stopped() const { return options_.stop && options_.stop(); }

  void learn_origins() {
    storage::txn t(env_, storage::txn::kind::read);
    storage::cursor c(t, origins_);
    for (auto e = c.first(); e; e = c.next()) {
      v1::OriginRow row;
      if (row.ParseFromArray(e->value.data(), static_cast<int>(e->value.size())))
        known_[row.id()].row = std::move(row);
    }
  }

  int print_origins() {
    learn_origins();
    for (auto& [id, o] : known_) {
      std::uint64_t records = 0;
      for (auto& r : o.row.ranges())
        records += r.last() - r.first() + 1;
      out_ << fmt::format("{{\"gateway\":\"{}\",\"epoch\":\"{:016x}\",\"class\":\"{}\",\"records\":{},\"ranges\":{}}}\n",
                          o.row.gateway(), o.row.epoch(), o.row.record_class(), records, o.row.ranges_size());
    }
    return 0;
  }

  // True: there may be more right now.
  bool by_seq() {
    bool more = false;
    for (auto& [id, o] : known_) {
      if (wanted(o))
        more = one_origin(id, o) || more;
    }
    return more;
  }

  bool one_origin(std::uint64_t id, origin_state& o) {
    storage::txn t(env_, storage::txn::kind::read);
    storage::cursor c(t, index_);
    int n = 0;
    for (auto e = c.at_or_after(storage::seq_key(id) + storage::seq_key(o.next)); e; e = c.next()) {
      if (storage::key_seq(e->key.substr(0, 8)) != id)
        return false;
      const auto seq = storage::key_seq(e->key.substr(8));
      if (options_.follow && seq != o.next)
        return false;  // a hole: what belongs there is still on its way
      if (++n > batches_per_look || stopped())
        return true;
      if (auto value = t.get(batches_, e->value))
        o.next = print(o, seq, *value);
    }
    return false;
  }

  bool by_arrival() {
    storage::txn t(env_, storage::txn::kind::read);
    storage::cursor c(t, arrivals_);
    int n = 0;
    for (auto e = c.at_or_after(storage::seq_key(next_arrival_)); e; e = c.next()) {
      if (++n > batches_per_look || stopped())
        return true;
      auto o = known_.find(storage::key_seq(e->value.substr(0, 8)));
      if (o == known_.end())
        return true;  // newer than what was learned
      next_arrival_ = storage::key_seq(e->key) + 1;
      if (auto value = t.get(batches_, e->key); value && wanted(o->second))
        print(o->second, storage::key_seq(e->value.substr(8)), *value);
    }
    return false;
  }

  bool wanted(const origin_state& o) const {
    return options_.gateway.empty() || options_.gateway == o.row.gateway();
  }

  // Returns the seq after the batch.
  std::uint64_t print(const origin_state& o, std::uint64_t first, std::string_view value) {
    v1::RecordPlace place;
    place.set_gateway(o.row.gateway());
    place.set_epoch(o.row.epoch());
    place.set_record_class(o.row.record_class());
    place.set_first_seq(first);
    auto b = storage::stored_batch::decode(value);
    if (!b || !b->intact() || !print_batch(place, *b)) {
      damaged_ = true;
      std::cerr << fmt::format("damaged batch: gateway {} class {} seq {}\n", o.row.gateway(), o.row.record_class(), first);
    }
    return first + (b ? b->record_count : 1);
  }

  bool print_batch(const v1::RecordPlace& place, const storage::stored_batch& b) {
    text_.clear();
    if (b.gap_reason != 0) {
      render::append_json_gap(text_, place, b.record_count, static_cast<int>(b.gap_reason));
    } else {
      if (!batch_.ParseFromArray(b.payload.data(), static_cast<int>(b.payload.size())))
        return false;
      if (options_.stream.empty())
        render::append_json_lines(text_, place, batch_);
      else
        append_chosen(place);
    }
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    return true;
  }

  void append_chosen(const v1::RecordPlace& place) {
    render::batch_lines lines(place, batch_);
    for (int i = 0; i < batch_.records_size(); ++i) {
      const auto stream = static_cast<int>(batch_.records(i).stream());
      if (stream < batch_.streams_size() && batch_.streams(stream) == options_.stream)
        lines.append_json(text_, i);
    }
  }

  const dump_options& options_;
  std::ostream& out_;
  storage::environment env_;
  storage::table origins_ = 0;
  storage::table batches_ = 0;
  storage::table arrivals_ = 0;
  storage::table index_ = 0;
  std::map<std::uint64_t, origin_state> known_;
  std::uint64_t next_arrival_ = 1;
  v1::Batch batch_;
  std::string text_;
  bool damaged_ = false;
};

} // namespace

int dump(const dump_options& options, std::ostream& out) {
  try {
    return dumper(options, out).run();
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 2;
  }
}

} // namespace holdfast::collector
