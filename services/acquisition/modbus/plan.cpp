#include "services/acquisition/modbus/plan.hpp"

#include "services/acquisition/modbus/decode.hpp"

#include <algorithm>
#include <tuple>

namespace holdfast::acquisition::modbus {

using config::modbus_device;

namespace {

std::chrono::milliseconds period_of(const modbus_device& device, std::size_t point) {
  return device.points[point].period.value_or(device.period);
}

unsigned end_of(const request_group& g) {
  return static_cast<unsigned>(g.address) + g.count;
}

/// Whether the point at `index` begins at most `hole` after the group's end and the request stays within `limit`.
bool fits(const request_group& g, const modbus_device& device, std::size_t index, unsigned hole, unsigned limit) {
  const auto& p = device.points[index];
  if (p.table != g.table || period_of(device, index) != g.period)
    return false;
  const auto end = std::max(end_of(g), p.address + width(p));
  return p.address <= end_of(g) + hole && end - g.address <= limit;
}

void append(request_group& g, const modbus_device& device, std::size_t index) {
  const auto& p = device.points[index];
  const auto end = std::max(end_of(g), p.address + width(p));
  g.count = static_cast<std::uint16_t>(end - g.address);
  g.points.push_back(index);
}

request_group group_of(const modbus_device& device, std::size_t index) {
  const auto& p = device.points[index];
  return {p.table, p.address, static_cast<std::uint16_t>(width(p)), period_of(device, index), {index}};
}

/// Joins points, which are sorted by table, period and address, into requests.
std::vector<request_group> joined(const modbus_device& device, const std::vector<std::size_t>& points) {
  std::vector<request_group> out;
  for (auto index : points) {
    const bool bits = in_bit_table(device.points[index]);
    const auto hole = bits ? max_hole_bits : max_hole_registers;
    if (!out.empty() && fits(out.back(), device, index, hole, bits ? max_bits : max_registers))
      append(out.back(), device, index);
    else
      out.push_back(group_of(device, index));
  }
  return out;
}

/// Behind the largest hole, or in the middle: the first point of the second part.
std::size_t cut_of(const request_group& group, const modbus_device& device) {
  std::size_t cut = group.points.size() / 2;
  unsigned largest = 0;
  unsigned end = 0;
  for (std::size_t i = 0; i != group.points.size(); ++i) {
    const auto& p = device.points[group.points[i]];
    if (i != 0 && p.address > end && p.address - end > largest) {
      largest = p.address - end;
      cut = i;
    }
    end = std::max(end, p.address + width(p));
  }
  return cut;
}

} // namespace

unsigned answer_bytes(const request_group& g) {
  const bool bits = g.table == config::register_table::coil || g.table == config::register_table::discrete;
  return bits ? (g.count + 7U) / 8U : g.count * 2U;
}

std::vector<request_group> plan(const modbus_device& device) {
  std::vector<std::size_t> order(device.points.size());
  for (std::size_t i = 0; i != order.size(); ++i)
    order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    const auto key = [&](auto i) {
      return std::tuple(device.points[i].table, period_of(device, i), device.points[i].address);
    };
    return key(a) < key(b);
  });
  return joined(device, order);
}

std::vector<request_group> split(const request_group& group, const modbus_device& device) {
  if (group.points.size() < 2)
    return {group};
  // A part has no larger holes than the group had, so joining with the same rules gives one request for each.
  const auto cut = group.points.begin() + static_cast<std::ptrdiff_t>(cut_of(group, device));
  auto parts = joined(device, {group.points.begin(), cut});
  for (auto& part : joined(device, {cut, group.points.end()}))
    parts.push_back(std::move(part));
  return parts;
}

} // namespace holdfast::acquisition::modbus
