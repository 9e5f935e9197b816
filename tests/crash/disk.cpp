#include "tests/crash/disk.hpp"

#include <algorithm>

namespace holdfast::crash {

namespace {

bool by_sectors(const std::string& name) { return name == "data.mdb"; }

} // namespace

void disk::play(const step& s) {
  switch (s.what) {
    case kind::started:
      life_ = number_;
      handles_.clear();
      directories_.clear();
      break;
    case kind::opened: {
      if (s.a == directory_itself) {
        directories_.insert(s.handle);
        break;
      }
      const std::string name(s.name);
      if (!names_.contains(name))
        change([&](names& n) { n[name] = std::make_shared<file>(file{name}); });
      handles_[s.handle] = names_.at(name);
      if (s.a == truncated)
        resize(of(s), 0);
      break;
    }
    case kind::written: write(of(s), s.a, s.data); break;
    case kind::resized: resize(s.name.empty() ? of(s) : *names_.at(std::string(s.name)), s.a); break;
    case kind::allocated:
      if (auto& f = of(s); f.now.size() < s.a)
        resize(f, s.a);
      break;
    case kind::synced: sync(s); break;
    case kind::stable:
      if (!swallowed(lies_.stable))
        of(s).sectors.stable(life_ + s.a);
      break;
    case kind::renamed:
      change([&](names& n) {
        n[std::string(s.data)] = n.at(std::string(s.name));
        n.erase(std::string(s.name));
      });
      break;
    case kind::removed: change([&](names& n) { n.erase(std::string(s.name)); }); break;
    case kind::sent:
    case kind::received: break;
  }
  ++number_;
}

disk::file& disk::of(const step& s) { return *handles_.at(s.handle); }

void disk::write(file& f, std::uint64_t offset, std::string_view data) {
  if (by_sectors(f.kind))
    return f.sectors.write(number_, offset, data);
  f.now.resize(std::max<std::size_t>(f.now.size(), offset + data.size()));
  f.now.replace(offset, data.size(), data);
  f.since.emplace_back(number_, f.now);
}

void disk::resize(file& f, std::uint64_t length) {
  if (by_sectors(f.kind))
    return f.sectors.resize(number_, length);
  f.now.resize(length);
  f.since.emplace_back(number_, f.now);
}

void disk::change(const std::function<void(names&)>& work) {
  work(names_);
  names_since_.emplace_back(number_, names_);
}

bool disk::swallowed(bool lie) { return lie && ++chances_ % lies_.one_in == 0; }

void disk::sync(const step& s) {
  const auto before = life_ + s.a;
  if (directories_.contains(s.handle)) {
    const bool lost = swallowed(lies_.directory);
    while (!lost && !names_since_.empty() && names_since_.front().first < before) {
      names_on_disk_ = names_since_.front().second;
      names_since_.erase(names_since_.begin());
    }
    return;
  }
  if (swallowed(lies_.fdatasync))
    return;
  auto& f = of(s);
  f.sectors.synced(before);
  while (!f.since.empty() && f.since.front().first < before) {
    f.on_disk = f.since.front().second;
    f.since.erase(f.since.begin());
  }
}

disk::image disk::cut(loss l, std::mt19937_64& random) const {
  image out;
  const auto any = [&](const auto& on_disk, const auto& since) -> const auto& {
    if (l == loss::nothing && !since.empty())
      return since.back().second;
    const auto at = since.empty() || l == loss::everything ? 0 : random() % (since.size() + 1);
    return at == 0 ? on_disk : since[at - 1].second;
  };
  for (auto& [name, f] : any(names_on_disk_, names_since_))
    out[name] = by_sectors(f->kind) ? f->sectors.content(l, random) : any(f->on_disk, f->since);
  return out;
}

} // namespace holdfast::crash
