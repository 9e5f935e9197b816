// WRITER: one commit for all that wait, then the acknowledgements.

#include "common/core/crc32c.hpp"
#include "services/store/batch_check.hpp"
#include "tests/simulation/keeper.hpp"
#include "tests/simulation/source.hpp"
#include "tests/simulation/store.hpp"

#include <algorithm>
#include <set>

namespace holdfast::simulation {

using namespace std::chrono_literals;

namespace {
constexpr auto confirm_delay = 50ms;  // as in writer_actor.cpp
constexpr auto beat_period = 500ms;
} // namespace

void store_process::boot() {
  file = std::make_unique<store_file>(w, site_.disk, site_.model, site_.config.classes);
  write = std::make_unique<writer>(*this, site_);
  dispatch = std::make_unique<dispatcher>(*this, site_);
}

void store_process::end() {
  write.reset();
  dispatch.reset();
  for (auto& l : site_.config.links)
    site_.model.leases_over(l.destination, l.name);
  crash(w, site_.disk, site_.model);
  file.reset();
}

writer::writer(store_process& p, site& s) : box(p), process_(p), site_(s) {
  for (auto& d : s.config.destinations)
    for (auto& c : s.config.classes)
      if (d.classes.empty() || std::find(d.classes.begin(), d.classes.end(), c.name) != d.classes.end())
        delivery_.want(d.name, c.name);
  p.file->load(producers_, delivery_);
  for (auto& c : s.config.classes)
    for (auto& r : delivery_.settled(c.name))
      removable_[c.name].push_back(r);
  open_room();
  schedule_commit(0ms);
  p.after(beat_period, [this] { tick(); });
}

void writer::tick() {
  box.send([this] {
    watch_room();
    commit();
  });
  process_.after(beat_period, [this] { tick(); });
}

// -- what comes in ----------------------------------------------------------------------------------------------------

void writer::on_hello(const std::string& producer, std::uint64_t session, const std::string& record_class) {
  const auto answer = [=, this] {
    const auto* before = producers_.find(producer);
    const auto taken = before == nullptr ? 0 : before->taken;
    const auto row = producers_.hello(producer, session, record_class, "acquisition");
    const auto last = process_.w.has(defect::welcome_from_memory) ? taken : row.committed;
    process_.w.trace("store", "welcomes {} after batch {}", producer, last);
    auto& to = *site_.acquisition;
    to.bus->to_client([=, &to, w = window(record_class)] { to.on_welcome(producer, session, last, row.position, w); });
  };
  process_.w.has(defect::welcome_from_memory) ? answer() : commit(answer);  // nothing of this producer may be between
}

void writer::refuse(const offer& o) {
  auto& to = *site_.acquisition;
  to.bus->to_client([=, &to] { to.on_refusal(o.producer, o.session); });
}

void writer::on_offer(const offer& o) {
  const auto* row = producers_.find(o.producer);
  if (row != nullptr && window(row->record_class) == 0)
    return;
  if (crc32c(o.payload.view()) != o.crc || store::count_records(o.payload.view()) != o.count)
    throw violation("an offer is malformed");
  using verdict = store::producer_table::verdict;
  switch (producers_.offer(o.producer, o.session, o.seq)) {
    case verdict::unknown_session:
    case verdict::out_of_order: return refuse(o);
    case verdict::duplicate: return acknowledge(o.producer);
    case verdict::accept: break;
  }
  pending_.push_back(o);
  pending_bytes_ += o.payload.size();
  if (process_.w.has(defect::ack_before_commit)) {
    producers_.committed(o.producer, o.seq, o.position);
    acknowledge(o.producer);
  }
  if (pending_bytes_ >= space_.offer_bytes())
    return commit();
  schedule_commit(0ms);
}

void writer::on_confirmed(const std::string& destination, const std::string& record_class,
                          const std::vector<seq_range>& ranges) {
  const auto head = process_.file->head(record_class);
  for (auto r : ranges) {
    r.last = std::min(r.last, head);
    if (r.first > r.last)
      continue;
    auto free = delivery_.mark(destination, record_class, r);
    if (process_.w.has(defect::removal_by_any))
      free = {r};
    for (auto& f : free)
      removable_[record_class].push_back(f);
  }
  changed_[{destination, record_class}] = true;
  schedule_commit(confirm_delay);
}

void writer::on_subscribe() {
  std::vector<std::tuple<std::string, std::string, std::vector<seq_range>>> entries;
  for (auto& d : site_.config.destinations)
    for (auto& [name, head] : process_.file->heads())
      entries.emplace_back(d.name, name, delivery_.missing(d.name, name, head));
  auto& to = *process_.dispatch;
  to.box.send([&to, entries, heads = process_.file->heads()] { to.on_undelivered(entries, heads); });
}

void writer::on_renew() {
  commit([this] {
    store_file::update u(*process_.file);
    u.renew_epoch();
    transact(u, [this](bool stands) {
      auto& to = *process_.dispatch;
      stands ? to.box.send([&to] { to.on_renewed(); })
             : process_.after(beat_period, [this] { box.send([this] { on_renew(); }); });
    });
  });
}

void writer::on_keep(const std::map<std::string, v1::LinkRow>& links,
                     const std::map<std::string, v1::JournalRow>& journals) {
  for (auto& [link, row] : links)
    links_[link] = row;
  for (auto& [destination, row] : journals)
    journals_[destination] = row;
  schedule_commit(confirm_delay);
}

// -- commit -----------------------------------------------------------------------------------------------------------

void writer::schedule_commit(duration delay) {
  if (delay > 0ms)
    return process_.after(delay, [this] { box.send([this] { commit(); }); });
  if (std::exchange(commit_scheduled_, true))
    return;
  box.send([this] {
    commit_scheduled_ = false;
    commit();
  });
}

void writer::commit(task then) {
  if (pending_.empty() && changed_.empty() && removable_.empty() && links_.empty() && journals_.empty()
      && !expiring_)
    return then ? then() : void();
  store_file::update u(*process_.file);
  for (auto& [key, dirty] : changed_)
    u.delivered(key.first, key.second, delivery_.delivered(key.first, key.second));
  for (auto& [link, row] : links_)
    u.link(link, row);
  for (auto& [destination, row] : journals_)
    u.journal(destination, row);
  for (auto& [record_class, ranges] : removable_)
    for (auto& r : ranges)
      u.remove(record_class, r);
  leaving out{orders_, ages_};
  make_room(u, out);
  std::vector<store::batch> done;
  for (auto& o : pending_) {
    auto& record_class = producers_.find(o.producer)->record_class;
    const auto seqs = u.append(o.producer, o.seq, record_class, o.count, o.crc, o.payload);
    done.push_back({record_class, seqs, o.crc, 0, o.payload});
  }
  std::set<std::string> seen;
  for (auto o = pending_.rbegin(); o != pending_.rend(); ++o)
    if (seen.insert(o->producer).second)
      u.producer(o->producer, producers_.find(o->producer)->record_class, o->seq, o->position);
  note_ages(u, done, out);
  auto& to = *process_.dispatch;
  if (process_.w.has(defect::dispatch_before_commit) && !done.empty())
    to.box.send([&to, done] { to.on_stored(done); });
  transact(std::move(u), [this, done, out, then](bool stands) mutable {
    stands ? stand(done, std::move(out)) : drop_offers();
    if (stands && expiring_)
      schedule_commit(0ms);
    if (then)
      then();
  });
}

// The actor waits for the disk, its mailbox meanwhile.
void writer::transact(store_file::update u, std::function<void(bool)> then) {
  auto& w = process_.w;
  auto& disk = site_.disk;
  const auto took = w.disk.between(200us, 6ms) + disk.slow;
  process_.file->begin(u);
  box.block();
  if (std::exchange(process_.kill_in_commit, false))
    w.after(took / 2, [&s = site_, life = process_.life()] {
      if (s.store->life() == life)
        s.watchdog->signal(*s.store, "killed in a commit");
    });
  process_.after(took, [this, &w, &disk, u = std::move(u), then = std::move(then)] {
    const bool stands = w.now() >= disk.failing || w.disk.yes(0.3);
    w.trace("store", "commit {}", stands ? "stands" : "failed");
    stands ? process_.file->committed(u) : process_.file->failed();
    box.unblock();
    then(stands);
  });
}

void writer::stand(const std::vector<store::batch>& done, leaving&& out) {
  changed_.clear();
  removable_.clear();
  links_.clear();
  journals_.clear();
  space_.committed();
  left(std::move(out));
  std::set<std::string> seen;
  for (auto& o : pending_) {
    producers_.committed(o.producer, o.seq, o.position);
    seen.insert(o.producer);
  }
  pending_.clear();
  pending_bytes_ = 0;
  for (auto& p : seen)
    acknowledge(p);
  auto& to = *process_.dispatch;
  if (!done.empty() && !process_.w.has(defect::dispatch_before_commit))
    to.box.send([&to, done] { to.on_stored(done); });
  tell_space();
}

void writer::drop_offers() {
  pending_.clear();
  pending_bytes_ = 0;
  if (!process_.w.has(defect::roll_back_forgotten))
    producers_.roll_back();
}

void writer::acknowledge(const std::string& producer) {
  const auto& row = *producers_.find(producer);
  site_.model.acknowledged(producer, row.committed);
  auto& to = *site_.acquisition;
  to.bus->to_client([=, &to, session = row.session, last = row.committed, w = window(row.record_class)] {
    to.on_ack(producer, session, last, w);
  });
}

} // namespace holdfast::simulation
