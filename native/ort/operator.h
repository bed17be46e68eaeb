// C++ wrappers of ort/api.h: tensors, attributes, and `custom_op`, which makes an operator of a class.
//
// The class `K` of an operator has these members:
//   static constexpr const char* name;
//   static constexpr Argument inputs[], outputs[]; an input whose type is undefined takes any
//   K(const KernelInfo&)               reads attributes and constants; may throw std::exception
//   void compute(KernelContext&) const called by any thread; may throw std::exception
#pragma once

#include <atomic>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "ort/api.h"

namespace wordtell {

struct Argument {
  ElementType type;
  Presence presence = Presence::required;
};

// Throws the runtime's message if there is an error, and releases the status.
inline void check(const OrtApi& api, OrtStatus* status) {
  if (status == nullptr) return;
  std::string message = api.get<GetErrorMessage>()(status);
  api.get<ReleaseStatus>()(status);
  throw std::runtime_error(message);
}

// A tensor that the runtime owns. Empty if an optional argument was left out.
class Tensor {
 public:
  Tensor() = default;
  Tensor(const OrtApi& api, const OrtValue* value) {
    if (value == nullptr) return;
    check(api, api.get<GetTensorMutableData>()(const_cast<OrtValue*>(value), &data_));
    OrtTensorTypeAndShapeInfo* info = nullptr;
    check(api, api.get<GetTensorTypeAndShape>()(value, &info));
    size_t rank = 0;
    OrtStatus* status = api.get<GetTensorElementType>()(info, &type_);
    if (status == nullptr) status = api.get<GetDimensionsCount>()(info, &rank);
    if (status == nullptr) {
      shape_.resize(rank);
      status = api.get<GetDimensions>()(info, shape_.data(), rank);
    }
    api.get<ReleaseTensorTypeAndShapeInfo>()(info);
    check(api, status);
  }

  explicit operator bool() const { return data_ != nullptr || !shape_.empty(); }
  ElementType type() const { return type_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t size() const {
    int64_t product = 1;
    for (int64_t extent : shape_) product *= extent;
    return product;
  }
  template <typename T>
  T* data() const {
    return static_cast<T*>(data_);
  }
  // Throws unless the shape is this one; -1 stands for any extent.
  void expect(const char* what, std::initializer_list<int64_t> shape) const {
    bool fits = shape.size() == shape_.size();
    for (size_t i = 0; fits && i < shape_.size(); ++i) {
      const int64_t extent = shape.begin()[i];
      fits = extent < 0 || extent == shape_[i];
    }
    if (fits) return;
    std::string message = std::string(what) + " has shape [";
    for (int64_t extent : shape_) message += std::to_string(extent) + " ";
    message += "], not [";
    for (int64_t extent : shape) message += (extent < 0 ? "any" : std::to_string(extent)) + " ";
    throw std::invalid_argument(message + "]");
  }

 private:
  void* data_ = nullptr;
  ElementType type_ = ElementType::undefined;
  std::vector<int64_t> shape_;
};

class KernelInfo {
 public:
  KernelInfo(const OrtApi& api, const OrtKernelInfo* info) : api(api), info_(info) {}
  int64_t integer(const char* name) const {
    int64_t value = 0;
    check(api, api.get<KernelInfoGetAttributeInt>()(info_, name, &value));
    return value;
  }
  float number(const char* name) const {
    float value = 0;
    check(api, api.get<KernelInfoGetAttributeFloat>()(info_, name, &value));
    return value;
  }
  // For optional attributes.
  int64_t integer(const char* name, int64_t otherwise) const {
    int64_t value = 0;
    return found(api.get<KernelInfoGetAttributeInt>()(info_, name, &value)) ? value : otherwise;
  }
  float number(const char* name, float otherwise) const {
    float value = 0;
    return found(api.get<KernelInfoGetAttributeFloat>()(info_, name, &value)) ? value : otherwise;
  }
  std::string text(const char* name, const char* otherwise) const {
    size_t size = 0;
    if (!found(api.get<KernelInfoGetAttributeString>()(info_, name, nullptr, &size)) || size == 0) return otherwise;
    std::string value(size, '\0');
    check(api, api.get<KernelInfoGetAttributeString>()(info_, name, &value[0], &size));
    value.resize(size - 1);  // the size counts the zero at the end
    return value;
  }
  // A constant of the graph; empty if it is optional and was left out. Throws if the input is not a constant.
  Tensor constant(size_t input, const char* what, Presence presence = Presence::required) const {
    int is_constant = 0;
    const OrtValue* value = nullptr;
    OrtStatus* status = api.get<KernelInfoGetConstantInput>()(info_, input, &is_constant, &value);
    if (presence == Presence::optional && (status != nullptr || !is_constant)) {
      if (status != nullptr) api.get<ReleaseStatus>()(status);
      return {};
    }
    check(api, status);
    if (!is_constant) throw std::invalid_argument(std::string(what) + " must be a constant of the graph");
    return {api, value};
  }

  const OrtApi& api;

 private:
  bool found(OrtStatus* status) const {
    if (status == nullptr) return true;
    api.get<ReleaseStatus>()(status);
    return false;
  }

  const OrtKernelInfo* info_;
};

class KernelContext {
 public:
  KernelContext(const OrtApi& api, OrtKernelContext* context) : api_(api), context_(context) {}
  Tensor input(size_t index) const {
    const OrtValue* value = nullptr;
    check(api_, api_.get<KernelContextGetInput>()(context_, index, &value));
    return {api_, value};
  }
  // Null if the graph does not use this optional output.
  template <typename T>
  T* output(size_t index, std::vector<int64_t> shape) const {
    OrtValue* value = nullptr;
    check(api_, api_.get<KernelContextGetOutput>()(context_, index, shape.data(), shape.size(), &value));
    return Tensor(api_, value).data<T>();
  }
  // Calls `task` for 0 ... total-1 on the threads of the session that runs this kernel, and waits. Exceptions must not
  // pass through the runtime's pool: the first one is thrown again here, and tasks that have not begun are not called.
  template <typename Task>
  void parallel(size_t total, const Task& task) const {
    struct Shared {
      const Task& task;
      std::atomic<bool> failed{false};
      std::exception_ptr error{};  // written by the task that set `failed`, read when all are done
    } shared{task};
    auto call = [](void* data, size_t index) noexcept {
      auto& all = *static_cast<Shared*>(data);
      if (all.failed.load(std::memory_order_relaxed)) return;
      try {
        all.task(index);
      } catch (...) {
        if (!all.failed.exchange(true)) all.error = std::current_exception();
      }
    };
    // One batch per task, so that a thread that starts late computes fewer of them.
    check(api_, api_.get<KernelContextParallelFor>()(context_, call, total, total, &shared));
    if (shared.error) std::rethrow_exception(shared.error);
  }

 private:
  const OrtApi& api_;
  OrtKernelContext* context_;
};

// Turns an exception into a status, because none may pass through the runtime's C interface.
template <typename Work>
OrtStatus* guarded(const OrtApi& api, const Work& work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    return api.get<CreateStatus>()(OrtErrorCode::fail, error.what());
  } catch (...) {
    return api.get<CreateStatus>()(OrtErrorCode::fail, "an exception of an unknown type");
  }
}

template <typename K>
const OrtCustomOp* custom_op() {
  struct Kernel {
    const OrtApi& api;
    K body;
  };
  static const OrtCustomOp op = [] {
    OrtCustomOp callbacks{};
    callbacks.version = kApiVersion;
    callbacks.GetName = [](const OrtCustomOp*) { return K::name; };
    callbacks.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
    callbacks.GetInputType = [](const OrtCustomOp*, size_t i) { return K::inputs[i].type; };
    callbacks.GetInputTypeCount = [](const OrtCustomOp*) { return std::size(K::inputs); };
    callbacks.GetInputCharacteristic = [](const OrtCustomOp*, size_t i) { return K::inputs[i].presence; };
    callbacks.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return 0; };
    callbacks.GetOutputType = [](const OrtCustomOp*, size_t i) { return K::outputs[i].type; };
    callbacks.GetOutputTypeCount = [](const OrtCustomOp*) { return std::size(K::outputs); };
    callbacks.GetOutputCharacteristic = [](const OrtCustomOp*, size_t i) { return K::outputs[i].presence; };
    const auto one = [](const OrtCustomOp*) { return 1; };
    callbacks.GetVariadicInputMinArity = callbacks.GetVariadicInputHomogeneity = one;
    callbacks.GetVariadicOutputMinArity = callbacks.GetVariadicOutputHomogeneity = one;
    callbacks.GetStartVersion = one;
    callbacks.GetEndVersion = [](const OrtCustomOp*) { return INT32_MAX; };
    callbacks.CreateKernelV2 = [](const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
      return guarded(*api, [&] { *kernel = new Kernel{*api, K(KernelInfo(*api, info))}; });
    };
    callbacks.KernelComputeV2 = [](void* kernel, OrtKernelContext* raw) {
      const auto& self = *static_cast<const Kernel*>(kernel);
      return guarded(self.api, [&] {
        KernelContext context(self.api, raw);
        self.body.compute(context);
      });
    };
    callbacks.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
    return callbacks;
  }();
  return &op;
}

}  // namespace wordtell
