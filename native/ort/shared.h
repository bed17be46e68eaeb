// Packed constants, of which all sessions of a model share one copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace wordtell {

// A hash of 128 bits of the data of a packed constant: two multiply-and-rotate hashes over eight bytes at a time,
// fast enough for hundreds of megabytes of weights. It need not resist an attacker who chooses the weights.
class Key {
 public:
  Key& add(const void* data, size_t bytes) {
    const auto* from = static_cast<const unsigned char*>(data);
    mix(bytes);
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), from += sizeof(uint64_t)) {
      uint64_t word;
      std::memcpy(&word, from, sizeof word);
      mix(word);
    }
    uint64_t rest = 0;
    if (bytes > 0) std::memcpy(&rest, from, bytes);
    mix(rest);
    return *this;
  }
  template <typename T>
  Key& add(const T& value) {
    return add(&value, sizeof value);
  }
  bool operator<(const Key& other) const { return std::make_pair(a_, b_) < std::make_pair(other.a_, other.b_); }

 private:
  void mix(uint64_t word) {
    a_ = rotated(a_ ^ word, 29) * 0x9E3779B97F4A7C15u;
    b_ = rotated(b_ + word, 37) * 0xD6E8FEB86659FD93u;
  }
  static uint64_t rotated(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

  uint64_t a_ = 0x243F6A8885A308D3u, b_ = 0x13198A2E03707344u;
};

// The existing object of this type and key, or a new one by `make`, which may throw.
template <typename T, typename Make>
std::shared_ptr<const T> shared(const Key& key, const Make& make) {
  static std::mutex mutex;
  static std::map<Key, std::weak_ptr<const T>> alive;
  const std::lock_guard<std::mutex> lock(mutex);
  if (auto found = alive[key].lock()) return found;
  std::shared_ptr<const T> made = make();
  alive[key] = made;
  return made;
}

}  // namespace wordtell
