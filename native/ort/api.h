// The part of ONNX Runtime's C interface that a custom-operator library needs. Its wheels contain no headers.
//
// The interface only grows: OrtApi is a table of function pointers whose places never change, and a struct of
// callbacks has the version that it was written for. This file has version 17 (ONNX Runtime 1.17), the first with
// KernelContext_ParallelFor; `RegisterCustomOps` asks the runtime for it and refuses an older runtime. The places are
// those of include/onnxruntime/core/session/onnxruntime_c_api.h of microsoft/onnxruntime.
#pragma once

#include <cstddef>
#include <cstdint>

constexpr uint32_t kApiVersion = 17;

struct OrtStatus;
struct OrtValue;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtTensorTypeAndShapeInfo;

enum class OrtErrorCode : int { fail = 1, invalid_argument = 2 };
enum class ElementType : int { undefined = 0, f32 = 1, u8 = 2, s8 = 3, s32 = 6, s64 = 7, bf16 = 16 };
enum class Presence : int { required = 0, optional = 1, variadic = 2 };

// A function of OrtApi: its place in the table and its type.
template <size_t Place, typename Function>
struct Slot;
template <size_t Place, typename Result, typename... Arguments>
struct Slot<Place, Result(Arguments...)> {
  static constexpr size_t place = Place;
  using Pointer = Result (*)(Arguments...);
};

using CreateStatus = Slot<0, OrtStatus*(OrtErrorCode, const char* message)>;
using GetErrorMessage = Slot<2, const char*(const OrtStatus*)>;
using CreateCustomOpDomain = Slot<26, OrtStatus*(const char* domain, OrtCustomOpDomain**)>;
using CustomOpDomainAdd = Slot<27, OrtStatus*(OrtCustomOpDomain*, const struct OrtCustomOp*)>;
using AddCustomOpDomain = Slot<28, OrtStatus*(OrtSessionOptions*, OrtCustomOpDomain*)>;
using GetTensorMutableData = Slot<51, OrtStatus*(OrtValue*, void**)>;
using GetTensorElementType = Slot<60, OrtStatus*(const OrtTensorTypeAndShapeInfo*, ElementType*)>;
using GetDimensionsCount = Slot<61, OrtStatus*(const OrtTensorTypeAndShapeInfo*, size_t*)>;
using GetDimensions = Slot<62, OrtStatus*(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t)>;
using GetTensorTypeAndShape = Slot<65, OrtStatus*(const OrtValue*, OrtTensorTypeAndShapeInfo**)>;
using KernelInfoGetAttributeFloat = Slot<85, OrtStatus*(const OrtKernelInfo*, const char* name, float*)>;
using KernelInfoGetAttributeInt = Slot<86, OrtStatus*(const OrtKernelInfo*, const char* name, int64_t*)>;
using KernelInfoGetAttributeString = Slot<87, OrtStatus*(const OrtKernelInfo*, const char* name, char*, size_t*)>;
using KernelContextGetInput = Slot<90, OrtStatus*(const OrtKernelContext*, size_t, const OrtValue**)>;
using KernelContextGetOutput =
    Slot<91, OrtStatus*(OrtKernelContext*, size_t, const int64_t* shape, size_t rank, OrtValue**)>;
using ReleaseStatus = Slot<93, void(OrtStatus*)>;
using ReleaseTensorTypeAndShapeInfo = Slot<99, void(OrtTensorTypeAndShapeInfo*)>;
using KernelInfoGetConstantInput = Slot<249, OrtStatus*(const OrtKernelInfo*, size_t, int* is_constant, const OrtValue**)>;
using KernelContextParallelFor = Slot<274, OrtStatus*(const OrtKernelContext*, void (*)(void*, size_t), size_t total,
                                                      size_t batches, void* data)>;

struct OrtApi {
  template <typename S>
  typename S::Pointer get() const {
    return reinterpret_cast<typename S::Pointer>(slots[S::place]);
  }

 private:
  using Function = void (*)();
  Function slots[KernelContextParallelFor::place + 1];
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

// The callbacks of an operator, in ONNX Runtime's order, up to version 17.
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  ElementType (*GetInputType)(const OrtCustomOp*, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  ElementType (*GetOutputType)(const OrtCustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void* kernel, OrtKernelContext*);
  void (*KernelDestroy)(void* kernel);
  Presence (*GetInputCharacteristic)(const OrtCustomOp*, size_t);
  Presence (*GetOutputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp*, size_t);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  OrtStatus* (*InferOutputShape)(const OrtCustomOp*, void*);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
};
