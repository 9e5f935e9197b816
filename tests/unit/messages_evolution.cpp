// The contract of today against that of the last release (golden/holdfast.fds: a copy of messages/holdfast.fds from the
// build of release 0.1.0). Other releases are in the field: what they know may not change its meaning.

#include "messages_descriptors.hpp"

#include <algorithm>

using namespace test;
using google::protobuf::FieldDescriptor;

namespace {

std::string type_name(const FieldDescriptor& f) {
  if (f.message_type() != nullptr)
    return f.message_type()->full_name();
  return f.enum_type() != nullptr ? f.enum_type()->full_name() : "";
}

std::string oneof(const FieldDescriptor& f) {
  return f.real_containing_oneof() != nullptr ? f.real_containing_oneof()->name() : "";
}

void compare_field(const FieldDescriptor& was, const Descriptor& now, std::vector<std::string>& broken) {
  const auto say = [&](const std::string& what) { broken.push_back(was.full_name() + ": " + what); };
  const auto* is = now.FindFieldByNumber(was.number());
  if (is == nullptr) {
    if (!now.IsReservedNumber(was.number()) || !now.IsReservedName(was.name()))
      say("removed without reserving its number and its name");
    return;
  }
  if (is->name() != was.name())
    say("number is used by " + is->name());
  if (is->type() != was.type())
    say("type changed");
  if (is->label() != was.label() || is->has_presence() != was.has_presence())
    say("label changed");
  if (type_name(*is) != type_name(was))
    say("type changed to " + type_name(*is));
  if (oneof(*is) != oneof(was))
    say("moved into or out of a oneof");
}

void compare_enum(const EnumDescriptor& was, const DescriptorPool& now, std::vector<std::string>& broken) {
  const auto* is = now.FindEnumTypeByName(was.full_name());
  if (is == nullptr) {
    broken.push_back(was.full_name() + ": removed");
    return;
  }
  for (int i = 0; i < was.value_count(); ++i) {
    const auto* v = is->FindValueByNumber(was.value(i)->number());
    const bool reserved = is->IsReservedNumber(was.value(i)->number()) && is->IsReservedName(was.value(i)->name());
    if (v == nullptr ? !reserved : v->name() != was.value(i)->name())
      broken.push_back(was.value(i)->full_name() + ": removed or renumbered");
  }
}

std::vector<std::string> compare(const FileDescriptorSet& then, const FileDescriptorSet& today) {
  const auto was = pool_of(then);
  const auto now = pool_of(today);
  std::vector<std::string> broken;
  for (auto* m : messages_of(*was, then)) {
    const auto* is = now->FindMessageTypeByName(m->full_name());
    if (is == nullptr) {
      broken.push_back(m->full_name() + ": removed");
      continue;
    }
    for (int i = 0; i < m->field_count(); ++i)
      compare_field(*m->field(i), *is, broken);
    for (int i = 0; i < m->enum_type_count(); ++i)
      compare_enum(*m->enum_type(i), *now, broken);
  }
  for (auto& f : then.file())
    for (int i = 0; i < f.enum_type_size(); ++i)
      compare_enum(*was->FindFileByName(f.name())->enum_type(i), *now, broken);
  return broken;
}

FileDescriptorSet today() { return read_descriptors(HOLDFAST_DESCRIPTORS); }

google::protobuf::DescriptorProto& message(FileDescriptorSet& set, const std::string& name) {
  for (auto& f : *set.mutable_file())
    for (auto& m : *f.mutable_message_type())
      if (m.name() == name)
        return m;
  throw std::runtime_error(name);
}

} // namespace

TEST_CASE("the contract still means what the last release took it for", "[messages]") {
  const auto released = read_descriptors(HOLDFAST_SOURCE_DIR "/tests/unit/golden/holdfast.fds");
  const auto pool = pool_of(released);
  CHECK(messages_of(*pool, released).size() >= 40);
  CHECK(compare(released, today()) == std::vector<std::string>{});
}

TEST_CASE("a broken contract is noticed", "[messages]") {
  using google::protobuf::FieldDescriptorProto;
  auto changed = today();
  auto& gap = message(changed, "Gap");
  const auto broken = [&] { return compare(today(), changed); };
  const std::string count = "holdfast.v1.Gap.count: ";
  SECTION("a removed field") {
    gap.mutable_field()->DeleteSubrange(0, 1);
    CHECK(broken() == std::vector<std::string>{count + "removed without reserving its number and its name"});
    auto& r = *gap.add_reserved_range();
    r.set_start(1);
    r.set_end(2);
    CHECK(broken().size() == 1);
    gap.add_reserved_name("count");
    CHECK(broken().empty());
  }
  SECTION("a number used again") {
    gap.mutable_field(0)->set_name("records");
    CHECK(broken() == std::vector<std::string>{count + "number is used by records"});
  }
  SECTION("another type") {
    gap.mutable_field(0)->set_type(FieldDescriptorProto::TYPE_SINT64);
    CHECK(broken() == std::vector<std::string>{count + "type changed"});
  }
  SECTION("another label") {
    gap.mutable_field(0)->set_label(FieldDescriptorProto::LABEL_REPEATED);
    CHECK(broken() == std::vector<std::string>{count + "label changed"});
  }
  SECTION("another enum") {
    gap.mutable_field(1)->set_type_name(".holdfast.v1.Quality");
    CHECK(broken() == std::vector<std::string>{"holdfast.v1.Gap.reason: type changed to holdfast.v1.Quality"});
  }
  SECTION("out of a oneof") {
    message(changed, "Record").mutable_field(3)->clear_oneof_index();
    CHECK_FALSE(broken().empty());
  }
  SECTION("a removed message") {
    message(changed, "WirePong").set_name("WirePung");
    for (auto& f : *message(changed, "WireMessage").mutable_field())
      if (f.name() == "pong")
        f.set_type_name(".holdfast.v1.WirePung");
    CHECK(broken().size() == 2);
  }
  SECTION("enum values, outside a message and in one") {
    for (auto& f : *changed.mutable_file())
      for (auto& e : *f.mutable_enum_type())
        if (e.name() == "Severity")
          e.mutable_value()->RemoveLast();
    message(changed, "LinkRefusal").mutable_enum_type(0)->mutable_value(1)->set_number(9);
    CHECK(broken().size() == 2);
  }
  SECTION("a removed enum") {
    for (auto& f : *changed.mutable_file())
      for (auto& e : *f.mutable_enum_type())
        if (e.name() == "Severity")
          e.set_name("Gravity");
    for (auto& f : *message(changed, "Alarm").mutable_field())
      if (f.name() == "severity")
        f.set_type_name(".holdfast.v1.Gravity");
    CHECK(broken().size() == 2);
  }
  SECTION("new fields, messages and values are welcome") {
    auto& f = *gap.add_field();
    f.set_name("added");
    f.set_number(99);
    f.set_type(FieldDescriptorProto::TYPE_STRING);
    f.set_label(FieldDescriptorProto::LABEL_OPTIONAL);
    CHECK(broken().empty());
  }
}
