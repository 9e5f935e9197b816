#pragma once

#include "services/health/fleet.hpp"

#include <functional>
#include <map>
#include <string>

namespace holdfast::health {

/// When a figure becomes an alarm and when it is over. Between the two limits an alarm stays what it was.
struct thresholds {
  double disk_free_raise = 0.10;
  double disk_free_clear = 0.12;
  double memory_available_raise = 0.05;
  double memory_available_clear = 0.07;
  milliseconds first_heartbeat{10000};  ///< an expected service may take this long after MONITOR's start
  milliseconds steady{3000};            ///< a service that came back is up for this long before its alarm ends
};

/// Turns what MONITOR knows into alarms: each is told once when it begins and once when it is over.
class alarm_book {
public:
  using teller = std::function<void(const std::string& name, bool raised, const std::string& text)>;

  alarm_book(thresholds limits, milliseconds started, teller tell)
      : limits_(limits), started_(started), tell_(std::move(tell)) {}

  void judge_machine(const proc::machine& m);
  void judge_presence(const std::vector<instance>& instances, milliseconds now);

private:
  enum class verdict { bad, between, good };
  void set(const std::string& name, verdict v, const std::string& text);
  verdict judge_one(const instance& i, milliseconds now) const;

  thresholds limits_;
  milliseconds started_;
  teller tell_;
  // An alarm that a former MONITOR raised is unknown here: the first good verdict is told too, and so ends it.
  std::map<std::string, bool> raised_;
};

} // namespace holdfast::health
