"""Finds what is wrong with a cloud, across its services, and what to do about it: one class for each check."""

from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.doctor.examination import CHECKS, DoctorReport, examine

__all__ = ["CHECKS", "Check", "DoctorReport", "Finding", "Patient", "examine"]
