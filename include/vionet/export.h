/* SPDX-License-Identifier: BSD-3-Clause */
/* Linkage of the public functions: C linkage for C++ callers, visible where all else is hidden. */
#ifndef VIONET_EXPORT_H
#define VIONET_EXPORT_H

#if defined(__GNUC__)
#define VIONET_EXPORT __attribute__((visibility("default")))
#else
#define VIONET_EXPORT
#endif

#ifdef __cplusplus
#define VIONET_BEGIN_DECLS extern "C" {
#define VIONET_END_DECLS   }
#else
#define VIONET_BEGIN_DECLS
#define VIONET_END_DECLS
#endif

#endif
