#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::v1 {
class Metrics;
}

namespace holdfast {

/// The figures of one process. Names are Prometheus names with their unit ("holdfast_store_used_bytes"); counters end in
/// "_total". Handles stay valid for the life of the registry and may be used from any thread.
class metrics {
public:
  using labels = std::vector<std::pair<std::string, std::string>>;

  class value {
  public:
    void add(double d = 1) noexcept { v_.fetch_add(d, std::memory_order_relaxed); }
    void set(double d) noexcept { v_.store(d, std::memory_order_relaxed); }
    double get() const noexcept { return v_.load(std::memory_order_relaxed); }

  private:
    std::atomic<double> v_{0};
  };

  /// The same name and labels give the same handle.
  value& counter(const std::string& name, const std::string& help, labels l = {}) {
    return find(name, help, std::move(l), true);
  }
  value& gauge(const std::string& name, const std::string& help, labels l = {}) {
    return find(name, help, std::move(l), false);
  }

  void snapshot(v1::Metrics& out) const;

private:
  struct entry {
    std::string name;
    std::string help;
    labels tags;
    bool counts;
    value v;
  };
  value& find(const std::string& name, const std::string& help, labels l, bool counts);

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<entry>> entries_;
};

} // namespace holdfast
