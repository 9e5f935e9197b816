#pragma once

#include "storage_support.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>
#include <string>
#include <vector>

namespace test {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FileDescriptorSet;

inline FileDescriptorSet read_descriptors(const std::string& path) {
  FileDescriptorSet set;
  if (!set.ParseFromString(read_file(path)) || set.file_size() == 0)
    throw std::runtime_error("failed to read descriptors from " + path);
  return set;
}

inline std::unique_ptr<DescriptorPool> pool_of(const FileDescriptorSet& set) {
  auto pool = std::make_unique<DescriptorPool>();
  for (auto& f : set.file())
    if (pool->BuildFile(f) == nullptr)
      throw std::runtime_error("failed to understand " + f.name());
  return pool;
}

inline const DescriptorPool& current_pool() {
  static const auto set = read_descriptors(HOLDFAST_DESCRIPTORS);
  static const auto pool = pool_of(set);
  return *pool;
}

inline void add_messages(const Descriptor& d, std::vector<const Descriptor*>& to) {
  to.push_back(&d);
  for (int i = 0; i < d.nested_type_count(); ++i)
    add_messages(*d.nested_type(i), to);
}

/// The messages of package holdfast.v1 in the files of a descriptor set, nested ones included.
inline std::vector<const Descriptor*> messages_of(const DescriptorPool& pool, const FileDescriptorSet& set) {
  std::vector<const Descriptor*> out;
  for (auto& f : set.file())
    for (int i = 0; i < f.message_type_size(); ++i)
      add_messages(*pool.FindFileByName(f.name())->message_type(i), out);
  return out;
}

inline std::vector<const Descriptor*> messages_of(const DescriptorPool& pool) {
  return messages_of(pool, read_descriptors(HOLDFAST_DESCRIPTORS));
}

} // namespace test
