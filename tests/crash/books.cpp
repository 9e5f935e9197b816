#include "tests/crash/books.hpp"

#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/dispatch.pb.h"
#include "holdfast/v1/ingest.pb.h"
#include "services/store/batch_file.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace holdfast::crash {

namespace {

template <class Message> Message parse(std::string_view bytes) {
  Message m;
  if (!m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw std::runtime_error("failed to read recording: a message is not understood");
  return m;
}

} // namespace

void books::play(const step& s) {
  if (s.what == kind::received)
    received(s);
  else if (s.what == kind::sent)
    sent(s);
}

void books::received(const step& s) {
  if (s.name == "store.dispatch") {
    const auto m = parse<v1::LinkMessage>(s.data);
    for (auto& c : m.delivered().delivered())
      for (auto& r : c.ranges())
        confirm(m.delivered().epoch(), c.record_class(), {r.first(), r.last()});
    for (auto& c : m.ready().present())
      for (auto& r : c.ranges())
        confirm(m.ready().epoch(), c.record_class(), {r.first(), r.last()});
    return;
  }
  const auto m = parse<v1::ProducerMessage>(s.data);
  if (m.has_hello())
    producers_[m.hello().producer()].record_class = m.hello().record_class();
  if (!m.has_offer())
    return;
  auto& p = producers_[m.offer().producer()];
  const offer o{p.record_class, m.offer().record_count(), m.offer().crc32c()};
  const place at{m.offer().producer(), m.offer().producer_seq()};
  if (at.seq > p.offers.size() + 1)
    throw std::runtime_error("failed to read recording: an offer out of order");
  if (at.seq == p.offers.size() + 1)
    p.offers.push_back(o);
  if (p.offers[at.seq - 1] != o || places_.try_emplace(o, at).first->second != at)
    throw std::runtime_error("failed to read recording: two batches look the same");
  if (early_)
    acknowledged(at.producer, at.seq);
}

void books::acknowledged(const std::string& name, std::uint64_t last) {
  auto& p = producers_[name];
  p.acknowledged = std::max(p.acknowledged, last);
  promised_ = promised_ || last > 0;
}

void books::sent(const step& s) {
  if (s.name != "store.ingest")
    return;
  const auto m = parse<v1::StoreMessage>(s.data);
  if (m.has_ack())
    acknowledged(m.ack().producer(), m.ack().last_seq());
  if (m.has_welcome())
    acknowledged(m.welcome().producer(), m.welcome().last_seq());
}

void books::confirm(std::uint64_t epoch, const std::string& record_class, seq_range r) {
  confirmed_[epoch][record_class].insert(r);
  promised_ = true;
}

std::string books::told() const {
  nlohmann::json out = nlohmann::json::object();
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> offered;  // class -> records acknowledged and offered
  for (auto& [name, p] : producers_) {
    auto& sums = offered[p.record_class];
    for (std::size_t i = 0; i < p.offers.size(); ++i) {
      sums.second += p.offers[i].count;
      sums.first += i < p.acknowledged ? p.offers[i].count : 0;
    }
  }
  for (auto& [name, sums] : offered)
    out[name] = {{"acknowledged", sums.first}, {"offered", sums.second}};
  for (auto& [epoch, classes] : confirmed_)
    for (auto& [name, ranges] : classes)
      for (auto& r : ranges.ranges())
        out[name]["confirmed"].push_back({r.first, r.last});
  return out.dump();
}

std::string books::check(store::batch_file& file) {
  store::producer_table table;
  store::delivery_state ignored;
  file.load(table, ignored);
  std::map<std::string, std::uint64_t> last;
  std::map<std::string, tally> tallies;
  for (auto& [name, row] : table.rows()) {
    const auto p = producers_.find(name);
    if (p == producers_.end() || row.committed > p->second.offers.size())
      return fmt::format("producer {}: last_seq is {}, and so much was never offered", name, row.committed);
    last[name] = row.committed;
    for (std::uint64_t i = 0; i < row.committed; ++i)
      tallies[p->second.record_class].records += p->second.offers[i].count;
  }
  for (auto& [name, p] : producers_)
    if (last[name] < p.acknowledged)
      return fmt::format("producer {}: {} batches acknowledged, {} there", name, p.acknowledged, last[name]);
  for (auto& [name, head] : file.heads())
    if (auto problem = check_class(file, name, tallies[name], last); !problem.empty())
      return fmt::format("class {}: {}", name, problem);
  return {};
}

// Each number up to the head is there once, as it was offered, or confirmed and then gone; none is above.
std::string books::check_class(store::batch_file& file, const std::string& name, tally& t,
                               const std::map<std::string, std::uint64_t>& last) {
  const auto head = file.head(name);
  if (head != t.records)
    return fmt::format("{} numbers given, its producers have brought {} records", head, t.records);
  std::set<place*> seen;
  const auto rows = file.env().open_table("class/" + name).value();
  storage::txn read(file.env(), storage::txn::kind::read);
  storage::cursor c(read, rows);
  for (auto e = c.first(); e; e = c.next()) {
    const auto first = storage::key_seq(e->key);
    const auto b = storage::stored_batch::decode(e->value, {name, e->key});
    if (!b || !b->intact() || b->record_count == 0)
      return fmt::format("the batch at seq {} is damaged", first);
    const seq_range seqs{first, first + b->record_count - 1};
    const auto at = places_.find({name, b->record_count, b->crc});
    if (at == places_.end() || at->second.seq > last.at(at->second.producer))
      return fmt::format("the batch at seq {} was never offered, or its producer's row does not know it", first);
    if (t.held.touches(seqs) || !seen.insert(&at->second).second)
      return fmt::format("the batch at seq {} is there twice", first);
    if (known_.try_emplace({file.epoch(), name, first}, at->first).first->second != at->first)
      return fmt::format("seq {} was another batch before", first);
    t.held.insert(seqs);
  }
  if (head == 0)
    return {};
  for (auto& r : t.held.outside({1, head}))
    if (!confirmed_[file.epoch()][name].contains(r))
      return fmt::format("seq {} to {} are gone and nobody has confirmed them", r.first, r.last);
  if (const auto beyond = t.held.at_or_after(head + 1))
    return fmt::format("seq {} is above its head {}", beyond->first, head);
  return {};
}

} // namespace holdfast::crash
